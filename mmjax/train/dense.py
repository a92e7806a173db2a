"""Another product for linen's dense layers, put in place from outside of them."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import jax
from flax import linen

from mmjax.core import products

_PLAIN = (jax.lax.dot_general, products.flat)


def product(module: linen.Module) -> Any:
    """What a dense layer multiplies with, where nobody has put anything else there; else None, as for other layers."""
    if not isinstance(module, linen.Dense | linen.DenseGeneral) or module.dot_general is not None:
        return None
    own = module.dot_general_cls() if module.dot_general_cls else jax.lax.dot_general
    return own if own in _PLAIN else None


@contextlib.contextmanager
def instead(module: linen.Module, product: Any) -> Iterator[None]:
    """``product`` at linen's own place for it, which can be filled before a module is made alone."""
    before = getattr(module, "dot_general_cls", None)
    object.__setattr__(module, "dot_general_cls", lambda: product)
    try:
        yield
    finally:
        object.__setattr__(module, "dot_general_cls", before)


def matrices(inputs: jax.Array, kernel: jax.Array, dims: Any, **how: Any) -> jax.Array:
    """``jax.lax.dot_general`` of the last axes of ``inputs`` and the first of ``kernel``, both as matrices.

    For one processor, where a kernel's gradient that is summed over more than one axis takes up to twice as long
    (docs/measurements/step.md). TPUs would copy inputs whose places are no multiple of 8, and axes that devices share
    can't be joined.
    """
    (summed, within), (apart, _) = dims
    many = len(within)
    last = tuple(axis % inputs.ndim for axis in summed) == tuple(range(inputs.ndim - many, inputs.ndim))
    if apart or not last or tuple(within) != tuple(range(many)):
        return jax.lax.dot_general(inputs, kernel, dims, **how)
    rows, size, made = inputs.shape[:-many], math.prod(kernel.shape[:many]), kernel.shape[many:]
    left, right = inputs.reshape(math.prod(rows), size), kernel.reshape(size, math.prod(made))
    return jax.lax.dot_general(left, right, (((1,), (0,)), ((), ())), **how).reshape(*rows, *made)
