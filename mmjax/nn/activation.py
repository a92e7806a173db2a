"""What stands between the two layers of an MLP."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def gelu(values: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The exact GELU (Hendrycks & Gimpel, 2016, https://arxiv.org/abs/1606.08415).

    Its gradient keeps what came in alone and finds the error function anew: memory is slower than that. Forward-mode
    derivatives do not go through.
    """
    return values * _below(values)


def _forth(values: Array) -> tuple[Array, Array]:
    return values * _below(values), values


def _back(values: Array, gradient: Array) -> tuple[Array]:
    values = jax.lax.optimization_barrier(values)  # else it is one error function for both passes, which is kept
    density = jnp.exp(-0.5 * values * values) * values.dtype.type(1 / math.sqrt(2 * math.pi))
    return (gradient * (_below(values) + values * density),)


gelu.defvjp(_forth, _back)


def _below(values: Array) -> Array:
    """How much of a normal distribution lies below."""
    if values.dtype.itemsize < 4:  # 1 + erf would lose what is left of small shares
        return _below(values.astype(jnp.float32)).astype(values.dtype)
    return 0.5 * (1 + jax.lax.erf(values * values.dtype.type(math.sqrt(0.5))))
