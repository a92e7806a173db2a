"""Residual networks."""

from collections.abc import Sequence

from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, masks, plain


class ResNet(linen.Module):
    """A residual network (He et al., 2015, https://arxiv.org/abs/1512.03385), version 1.5; a token for each place.

    ``stages`` tells the blocks of each: (3, 4, 6, 3) is ResNet-50 or, without ``bottleneck``, ResNet-34;
    (3, 4, 23, 3) ResNet-101, (2, 2, 2, 2) without ``bottleneck`` ResNet-18. The first has ``channels``, each
    later one twice as many at half the height and width (rounded up); bottlenecks give four times those. So tokens are
    ``channels * 2 ** (len(stages) - 1)`` wide, 4 times that with ``bottleneck``.
    ``small`` is for pictures of some 32 pixels: a first convolution of size 3 in place of one of size 7 and pooling,
    which together shrink a picture by 4. ``groups`` = 0 is BatchNorm, any other value GroupNorm.
    ``drop_path`` leaves out whole branches, row by row. A mask may cover the rows of a picture (``b h``).

    Raises UserError for packed rows.
    """

    channels: int = 64
    stages: Sequence[int] = (3, 4, 6, 3)
    bottleneck: bool = True
    small: bool = False
    groups: int = 0
    drop_path: float = 0.0
    dtype: str = "float32"

    def tokens(self, height: int, width: int) -> int:
        """How many tokens a picture gives."""
        shrink = 2 ** (len(self.stages) - 1) * (1 if self.small else 4)
        return -(-height // shrink) * -(-width // shrink)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        grid = nn.grid.picture(signal, dtype=self.dtype)
        kernel, stride = (3, 1) if self.small else (7, 2)
        grid = nn.convolution.masked(
            grid, self.channels, kernel=kernel, stride=stride, dtype=self.dtype, name="convolution"
        )
        norm = nn.norm.chosen(self.groups, dtype=self.dtype, name="norm")
        grid = grid.replace(values=linen.relu(norm(grid.values, grid.mask, train=train)))
        grid = grid if self.small else _pooled(grid)
        fields = plain.common(nn.Residual, self)
        return nn.grid.tokens(nn.residual.stack(grid, self.stages, train=train, **fields))


def _pooled(grid: Signal) -> Signal:
    """Greatest of 3 by 3 at every other place. Nothing is below 0, so masked places at 0 are never the greatest."""
    values, edges = masks.zeroed(grid.values, grid.mask), ((1, 1), (1, 1))
    values = linen.max_pool(values, (3, 3), strides=(2, 2), padding=edges)  # pyright: ignore[reportArgumentType]
    return Signal(values, grid.mask[:, ::2])
