"""Residual networks over space and time."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, plain


class R2Plus1D(linen.Module):
    """R(2+1)D: every convolution over space, then time (Tran et al., 2018, https://arxiv.org/abs/1711.11248).

    Videos are ``b t h w c`` with a mask ``b t``; uint8 pixels are scaled to -1..1, floats taken as they are.
    ``stages`` tells the residual blocks of each: (2, 2, 2, 2) is R(2+1)D-18, (3, 4, 6, 3) R(2+1)D-34. The first has
    ``channels``, each later one twice as many at half the time, height and width (rounded up), and tokens are as
    wide as the last. The first convolution halves height and width alone and has ``middle`` channels between space
    and time, in all others both have together as many weights as one of size 3 in all directions would have.
    Gives a token for each step of time that is left, the mean over its places; with ``places`` one for each of these.
    ``groups`` = 0 is BatchNorm, any other value GroupNorm.

    Raises UserError for packed rows.
    """

    channels: int = 64
    stages: Sequence[int] = (2, 2, 2, 2)
    middle: int = 45
    places: bool = False
    groups: int = 0
    drop_path: float = 0.0
    dtype: str = "float32"

    def tokens(self, frames: int, height: int, width: int) -> int:
        """How many tokens a video gives."""
        shrink = 2 ** (len(self.stages) - 1)
        steps = -(-frames // shrink)
        return steps * -(-height // (2 * shrink)) * -(-width // (2 * shrink)) if self.places else steps

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        grid = nn.grid.picture(signal, dtype=self.dtype)
        grid = nn.convolution.masked(
            grid, self.middle, kernel=(1, 7, 7), stride=(1, 2, 2), dtype=self.dtype, name="convolution_space"
        )
        grid = self._normed(grid, "convolution_norm", train)
        grid = nn.convolution.masked(grid, self.channels, kernel=(3, 1, 1), dtype=self.dtype, name="convolution_time")
        grid = self._normed(grid, "norm", train)
        grid = nn.residual.stack(grid, self.stages, train=train, factored=True, **plain.common(nn.Residual, self))
        if not self.places:
            grid = grid.replace(values=jnp.mean(grid.values, axis=(2, 3), dtype=jnp.float32).astype(grid.values.dtype))
        return nn.grid.tokens(grid)

    def _normed(self, grid: Signal, name: str, train: bool) -> Signal:
        norm = nn.norm.chosen(self.groups, dtype=self.dtype, name=name)
        return grid.replace(values=linen.relu(norm(grid.values, grid.mask, train=train)))
