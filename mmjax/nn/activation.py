"""What stands between the two layers of an MLP."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def gelu(values: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The exact GELU (Hendrycks & Gimpel, 2016, https://arxiv.org/abs/1606.08415).

    Its slope is taken while the error function is at hand, so the backward pass only multiplies.
    """
    return values * _below(values)


@gelu.defjvp
def _gelu_jvp(primals, tangents):
    (values,), (change,) = primals, tangents
    below = _below(values)
    density = jnp.exp(-0.5 * values * values) * values.dtype.type(1 / math.sqrt(2 * math.pi))
    return values * below, change * (below + values * density)


def _below(values: Array) -> Array:
    """How much of a normal distribution lies below."""
    if values.dtype.itemsize < 4:  # 1 + erf would lose what is left of small shares
        return _below(values.astype(jnp.float32)).astype(values.dtype)
    return 0.5 * (1 + jax.lax.erf(values * values.dtype.type(math.sqrt(0.5))))
