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
    """What a dense layer multiplies with, if that is linen's own or the house's; else None, as for other layers."""
    if not isinstance(module, linen.Dense | linen.DenseGeneral) or module.dot_general is not None:
        return None
    own = module.dot_general_cls() if module.dot_general_cls else jax.lax.dot_general
    return own if own in _PLAIN else None


@contextlib.contextmanager
def instead(module: linen.Module, other: Any) -> Iterator[None]:
    """Another product at linen's own place for it, which linen lets be filled only before a module is made."""
    before = getattr(module, "dot_general_cls", None)
    object.__setattr__(module, "dot_general_cls", lambda: other)
    try:
        yield
    finally:
        object.__setattr__(module, "dot_general_cls", before)


def matrices(inputs: jax.Array, kernel: jax.Array, dims: Any, **how: Any) -> jax.Array:
    """``jax.lax.dot_general`` of the last axes of ``inputs`` and the first of ``kernel``, both as matrices.

    For one processor: XLA takes up to three times as long there for a kernel's gradient that is summed over more than
    one axis (docs/measurements/step.md). Axes that devices share can't be joined. Forward-mode derivatives do not go
    through.
    """
    (summed, within), (apart, _) = dims
    many = len(within)
    last = tuple(axis % inputs.ndim for axis in summed) == tuple(range(inputs.ndim - many, inputs.ndim))
    if apart or not last or tuple(within) != tuple(range(many)):
        return jax.lax.dot_general(inputs, kernel, dims, **how)
    return _multiplied(many, tuple(how.items()), inputs, kernel)


def _product(many: int, how: tuple[tuple[str, Any], ...], inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """The last ``many`` axes of ``inputs`` times the first of ``kernel``."""
    rows, size, made = inputs.shape[:-many], math.prod(kernel.shape[:many]), kernel.shape[many:]
    left, right = inputs.reshape(math.prod(rows), size), kernel.reshape(size, math.prod(made))
    return jax.lax.dot_general(left, right, (((1,), (0,)), ((), ())), **dict(how)).reshape(*rows, *made)


_multiplied = jax.custom_vjp(_product, nondiff_argnums=(0, 1))


def _forth(many: int, how: Any, inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
    # Kept as they came, in one shape for all that read them: else a scan keeps a copy in each.
    return _product(many, how, inputs, kernel), (inputs, kernel)


def _back(many: int, how: Any, kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[Any, Any]:
    inputs, kernel = kept
    (toward_inputs,) = jax.linear_transpose(lambda inputs: _product(many, how, inputs, kernel), inputs)(gradient)
    (toward_kernel,) = jax.linear_transpose(lambda kernel: _product(many, how, inputs, kernel), kernel)(gradient)
    return toward_inputs, toward_kernel


_multiplied.defvjp(_forth, _back)
