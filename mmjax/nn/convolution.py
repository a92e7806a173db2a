"""Convolutional stems: early layers that learn from little data."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float


def channels(last: int, layers: int, *, least: int = 8) -> tuple[int, ...]:
    """Channels of a stem's layers: ``last`` in the last, half of the next (but ``least``) in each before it."""
    return tuple(max(last >> (layers - 1 - i), min(least, last)) for i in range(layers))


class Stem(linen.Module):
    """3 x 3 convolutions with stride 2, each followed by LayerNorm over its channels and GELU.

    Early convolutions make small transformers train better (Xiao et al., 2021,
    https://arxiv.org/abs/2106.14881). The norm is by position, so that padding never moves real values.
    """

    channels: Sequence[int]
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self, values: Float[Array, "b h w c"], mask: Bool[Array, "b h"] | None = None
    ) -> Float[Array, "b i j d"]:
        """``mask`` tells which of the rows ``h`` are real; the others count as zeros in every layer."""
        dtype = jnp.dtype(self.dtype)
        for i, channels in enumerate(self.channels):
            if mask is not None:
                values = jnp.where(mask[:, :, None, None], values, 0)
                mask = mask[:, ::2]
            values = linen.Conv(
                channels, (3, 3), strides=2, padding=((1, 1), (1, 1)), dtype=dtype, name=f"convolution_{i}"
            )(values)
            values = linen.gelu(linen.LayerNorm(dtype=dtype, name=f"norm_{i}")(values))
        return values
