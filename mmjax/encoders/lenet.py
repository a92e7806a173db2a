"""LeNet-5."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, masks


class LeNet(linen.Module):
    """The first convolutional network to be put to work (LeCun et al., 1998, https://doi.org/10.1109/5.726791).

    Convolutions of size 5, a scaled tanh, and halving by means with a learned weight and bias a channel, then a
    layer of ``width``. Pictures may have any size: edges are padded, and what the paper has once a digit
    (its layers C5 and F6) there is here for every place of the last grid, which is a token. All maps of a layer see all
    of the layer before. Halving rounds up. A mask may cover the rows of a picture (``b h``).

    Raises UserError for packed rows.
    """

    channels: Sequence[int] = (6, 16, 120)
    width: int = 84
    dtype: str = "float32"

    def tokens(self, height: int, width: int) -> int:
        """How many tokens a picture gives."""
        halves = 2 ** (len(self.channels) - 1)
        return -(-height // halves) * -(-width // halves)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        grid = nn.grid.picture(signal, dtype=self.dtype)
        for i, channels in enumerate(self.channels):
            if i:
                grid = self._halved(grid, f"halve_{i - 1}")
            grid = nn.convolution.masked(grid, channels, kernel=5, bias=True, dtype=self.dtype, name=f"convolution_{i}")
            grid = grid.replace(values=_squashed(grid.values))
        tokens = nn.grid.tokens(grid)
        values = linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(tokens.values)
        return tokens.replace(values=masks.zeroed(_squashed(values), tokens.mask))

    def _halved(self, grid: Signal, name: str) -> Signal:
        """Means of 2 by 2, real where any of the four is; masked ones and what lies beyond the edge count as 0."""
        values, dtype = masks.zeroed(grid.values, grid.mask), jnp.dtype(self.dtype)
        edges = [(0, size % 2) for size in values.shape[1:3]]
        means = linen.avg_pool(values, (2, 2), strides=(2, 2), padding=edges)  # pyright: ignore[reportArgumentType]
        scale = self.param(f"{name}_scale", linen.initializers.ones, means.shape[-1:]).astype(dtype)
        bias = self.param(f"{name}_bias", linen.initializers.zeros, means.shape[-1:]).astype(dtype)
        return Signal(_squashed(means * scale + bias), nn.grid.coarse(grid.mask, 2))


def _squashed(values: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """The paper's own tanh, which keeps 1 and -1 as they are."""
    return 1.7159 * jnp.tanh(values * (2 / 3))
