"""Where a token stands."""

import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Int


def sinusoids(positions: Int[Array, "*b"], width: int) -> Float[Array, "*b d"]:
    """Sines, then cosines, of each position at ``width / 2`` frequencies from 1 down to 1/10,000.

    Vaswani et al., 2017 (https://arxiv.org/abs/1706.03762), with the halves side by side as in Whisper.
    An odd width ends on a zero.
    """
    half = width // 2
    rates = np.exp(-np.log(10_000) * np.arange(half) / max(half - 1, 1)).astype(np.float32)
    angles = positions[..., None].astype(jnp.float32) * rates
    waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return jnp.pad(waves, [(0, 0)] * (waves.ndim - 1) + [(0, width - 2 * half)])


def sinusoids_2d(height: int, width: int, features: int) -> Float[Array, "n d"]:
    """Sinusoids of a grid in reading order: the first half of the features tells the row, the rest the column."""
    half = features // 2
    rows = jnp.repeat(sinusoids(jnp.arange(height), half), width, axis=0)
    columns = jnp.tile(sinusoids(jnp.arange(width), features - half), (height, 1))
    return jnp.concatenate([rows, columns], axis=-1)


class Learned(linen.Module):
    """A learned vector for each of ``length`` positions; a later position takes the last one."""

    length: int
    stddev: float = 0.02

    @linen.compact
    def __call__(self, positions: Int[Array, "*b"], width: int) -> Float[Array, "*b d"]:
        table = self.param("embedding", linen.initializers.normal(self.stddev), (self.length, width))
        return jnp.take(table, positions, axis=0, mode="clip")
