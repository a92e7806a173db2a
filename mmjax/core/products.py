"""Products with kernels, written for what compilers make of them."""

from typing import Any

import jax


def flat(inputs: jax.Array, kernel: jax.Array, axes: Any, **how: Any) -> jax.Array:
    """``jax.lax.dot_general`` of a kernel ``d ... k h``, whose result is ``... (k h)`` before it is ``... k h``.

    A backward pass that keeps what products gave then keeps it so. Last axes of fewer than 128 features would be padded
    to as many on a TPU.
    """
    (_, within), _ = axes
    if tuple(within) != (0,):
        return jax.lax.dot_general(inputs, kernel, axes, **how)
    out = jax.lax.dot_general(inputs, kernel.reshape(len(kernel), -1), axes, **how)
    return out.reshape(*out.shape[:-1], *kernel.shape[1:])
