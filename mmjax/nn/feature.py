"""Norms over each token's own features, whose gradient keeps their input and two numbers a token.

Derived step by step, linen's keep three arrays as large as the input, in float32. Written for gradients alone, these
have no forward derivative: ``jax.jvp`` of what holds one is a TypeError.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float


class LayerNorm(linen.Module):
    """Mean 0 and deviation 1 over the last axis, times ``scale``, plus ``bias`` (Ba et al., 2016,
    https://arxiv.org/abs/1607.06450), each of which can be left out.

    Inside all is in float32 at least, and the variance is taken about the mean, which does not drown it however large.
    dtype: of what comes out; None for that of the inside.
    """

    epsilon: float = 1e-6
    bias: bool = True
    scale: bool = True
    dtype: Any = None

    @linen.compact
    def __call__(self, values: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        shape = values.shape[-1:]
        scale = self.param("scale", linen.initializers.ones, shape) if self.scale else None
        bias = self.param("bias", linen.initializers.zeros, shape) if self.bias else None
        return _normed(values, scale, bias, self.epsilon, True, self.dtype)


class RMSNorm(linen.Module):
    """Root of the mean square 1 over the last axis, times a scale (Zhang & Sennrich, 2019,
    https://arxiv.org/abs/1910.07467). Otherwise as ``LayerNorm``.
    """

    epsilon: float = 1e-6
    dtype: Any = None

    @linen.compact
    def __call__(self, values: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        scale = self.param("scale", linen.initializers.ones, values.shape[-1:])
        return _normed(values, scale, None, self.epsilon, False, self.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _normed(values: Array, scale: Any, bias: Any, epsilon: float, centred: bool, dtype: Any) -> Array:
    return _forward(values, scale, bias, epsilon, centred, dtype)[0]


def _forward(values: Array, scale: Any, bias: Any, epsilon: float, centred: bool, dtype: Any) -> tuple[Array, Any]:
    exact = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    mean = jnp.mean(exact, axis=-1, keepdims=True) if centred else None
    off = exact if mean is None else exact - mean
    steep = jax.lax.rsqrt(jnp.mean(jnp.square(off), axis=-1, keepdims=True) + epsilon)
    out = off * (steep if scale is None else steep * scale)
    out = out if bias is None else out + bias
    return out if dtype is None else out.astype(dtype), (values, scale, bias, mean, steep)


def _backward(epsilon: float, centred: bool, dtype: Any, kept: Any, given: Array) -> tuple[Array, Any, Any]:
    values, scale, bias, mean, steep = kept
    given, exact = given.astype(steep.dtype), values.astype(steep.dtype)
    normal = (exact if mean is None else exact - mean) * steep
    inner = given if scale is None else given * scale
    back = inner - normal * jnp.mean(inner * normal, axis=-1, keepdims=True)
    if centred:
        back -= jnp.mean(inner, axis=-1, keepdims=True)
    rows = tuple(range(given.ndim - 1))
    slopes = None if scale is None else jnp.sum(given * normal, axis=rows).astype(scale.dtype)
    level = None if bias is None else jnp.sum(given, axis=rows).astype(bias.dtype)
    return (steep * back).astype(values.dtype), slopes, level


_normed.defvjp(_forward, _backward)
