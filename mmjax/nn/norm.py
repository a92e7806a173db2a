"""Normalisation over places, of which only the real ones count."""

import math

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.core import UserError, masks
from mmjax.nn import feature


class BatchNorm(linen.Module):
    """Every channel over the whole batch (Ioffe & Szegedy, 2015, https://arxiv.org/abs/1502.03167).

    In training by the mean and variance of all real places of the batch, on however many devices it lies. They
    move the running ones of collection ``batch_stats`` (``momentum`` of the old is kept), by which it normalises
    outside of training. All statistics are in float32. Absent and padded places are in none of them, and a batch
    without a real place leaves the running ones as they are. Where a run averages its parameters, they stay those
    of the parameters that were trained. Scales begin at ``start``.

    The batch has to be there at once: with accumulation over micro-batches each of these is normalised by
    itself, so their gradients do not add up to the whole batch's, as they do through every other part.
    GroupNorm has no such trouble.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    start: float = 1.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "b *s c"], mask: Bool[Array, "b *n"], *, train: bool) -> Array:
        """``mask`` covers the first axes of ``values``; what comes out at its False places is finite, no more."""
        shape = values.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        inputs = masks.zeroed(values, mask).astype(jnp.float32)
        here, spread = mean.value, variance.value
        if train:
            count = jnp.sum(mask, dtype=jnp.float32) * math.prod(values.shape[mask.ndim : -1])
            here, spread = _moments(inputs, mask, count, axes=tuple(range(values.ndim - 1)))
            if not self.is_initializing():
                # Of m places, m - 1 tell of the variance beyond them.
                unbiased = spread * count / jnp.maximum(count - 1, 1)
                mean.value = jnp.where(count > 0, self._moved(mean.value, here), mean.value)
                variance.value = jnp.where(count > 1, self._moved(variance.value, unbiased), variance.value)
        out = (inputs - here) * jax.lax.rsqrt(spread + self.epsilon)
        return _scaled(self, out, self.start).astype(jnp.dtype(self.dtype))

    def _moved(self, old: Array, new: Array) -> Array:
        return self.momentum * old + (1 - self.momentum) * jax.lax.stop_gradient(new)


class GroupNorm(linen.Module):
    """Every group of channels over a row's own real places (Wu & He, 2018, https://arxiv.org/abs/1803.08494).

    Statistics are in float32. Scales begin at ``start``. Raises UserError where ``groups`` do not divide the channels.
    """

    groups: int
    epsilon: float = 1e-5
    start: float = 1.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "b *s c"], mask: Bool[Array, "b *n"], *, train: bool) -> Array:
        """``mask`` covers the first axes of ``values``; what comes out at its False places is finite, no more."""
        *places, channels = values.shape
        if channels % self.groups:
            raise UserError(f"groups={self.groups} does not divide {channels} channels; choose a divisor of them")
        inputs = masks.zeroed(values, mask).astype(jnp.float32)
        inputs = inputs.reshape(*places, self.groups, channels // self.groups)
        size = math.prod(inputs.shape[mask.ndim :]) // self.groups
        count = jnp.sum(mask, axis=range(1, mask.ndim), dtype=jnp.float32) * size
        count = count.reshape(-1, *(1,) * (inputs.ndim - 1))
        axes = (*range(1, inputs.ndim - 2), inputs.ndim - 1)
        mean, variance = _moments(inputs, mask, count, axes=axes, keepdims=True)
        out = (inputs - mean) * jax.lax.rsqrt(variance + self.epsilon)
        return _scaled(self, out.reshape(values.shape), self.start).astype(jnp.dtype(self.dtype))


def standardised(values: Float[Array, "b n d"], mask: Bool[Array, "b n"], *, epsilon: float) -> Float[Array, "b n d"]:
    """Each channel with mean 0 and deviation 1 over its row's own real places, in float32; 0 elsewhere."""
    inputs = masks.zeroed(values, mask).astype(jnp.float32)
    count = jnp.sum(mask, axis=1, dtype=jnp.float32)[:, None, None]
    mean, variance = _moments(inputs, mask, count, axes=(1,), keepdims=True)
    return masks.zeroed((inputs - mean) * jax.lax.rsqrt(variance + epsilon), mask)


def features(kind: str, *, epsilon: float, dtype: str, name: str) -> feature.LayerNorm | feature.RMSNorm:
    """A norm over each token's own features: "layer", or "rms", which leaves out mean and bias.

    Ba et al., 2016 (https://arxiv.org/abs/1607.06450); Zhang & Sennrich, 2019 (https://arxiv.org/abs/1910.07467).
    """
    if kind not in ("layer", "rms"):
        raise UserError(f"norm is {kind!r}; it can be 'layer' or 'rms'")
    norm = feature.LayerNorm if kind == "layer" else feature.RMSNorm
    return norm(epsilon, dtype=jnp.dtype(dtype), name=name)


def chosen(groups: int, *, name: str, start: float = 1.0, dtype: str = "float32") -> BatchNorm | GroupNorm:
    """BatchNorm for 0 groups, else GroupNorm."""
    if groups:
        return GroupNorm(groups, start=start, dtype=dtype, name=name)
    return BatchNorm(start=start, dtype=dtype, name=name)


def _moments(
    inputs: Array, mask: Array, count: Array, *, axes: tuple[int, ...], keepdims: bool = False
) -> tuple[Array, Array]:
    """Mean and variance of real places; two passes, so that a large mean does not drown a small variance."""
    count = jnp.maximum(count, 1)
    mean = jnp.sum(inputs, axis=axes, keepdims=True) / count
    off = masks.zeroed(inputs - mean, mask)
    variance = jnp.sum(jnp.square(off), axis=axes, keepdims=True) / count
    return (mean, variance) if keepdims else (mean.reshape(-1), variance.reshape(-1))


def _scaled(module: linen.Module, values: Array, start: float) -> Array:
    shape = values.shape[-1:]
    scale = module.param("scale", linen.initializers.constant(start), shape, jnp.float32)
    return values * scale + module.param("bias", linen.initializers.zeros, shape, jnp.float32)
