"""ConvNeXt."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks

_EPSILON = 1e-6


class ConvNeXt(linen.Module):
    """A convolutional network as modern as a transformer (Liu et al., 2022, https://arxiv.org/abs/2201.03545).

    Patches of ``patch`` pixels, then ``stages`` of so many blocks and ``channels`` each, halving height and width
    (rounded up) between stages: the defaults are ConvNeXt-T. Tokens, one for each place, are as wide as the last
    stage. A block is a convolution of size 7 a channel, LayerNorm, and an MLP ``mlp`` times as wide, whose every
    channel is scaled by a weight that begins at ``scale``. ``drop_path`` grows from 0 in the first block to its
    value in the last. A mask may cover the rows of a picture (``b h``); a patch is real where any of its rows is.

    Raises UserError where there are not as many ``channels`` as ``stages``, and for packed rows.
    """

    channels: Sequence[int] = (96, 192, 384, 768)
    stages: Sequence[int] = (3, 3, 9, 3)
    patch: int = 4
    mlp: float = 4.0
    scale: float = 1e-6
    drop_path: float = 0.0
    dtype: str = "float32"

    def tokens(self, height: int, width: int) -> int:
        """How many tokens a picture gives."""
        shrink = self.patch * 2 ** (len(self.stages) - 1)
        return -(-height // shrink) * -(-width // shrink)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        if len(self.channels) != len(self.stages):
            raise UserError(f"channels={tuple(self.channels)} and stages={tuple(self.stages)} must be as many")
        grid = nn.grid.picture(signal, dtype=self.dtype)
        rates = iter(np.linspace(0, self.drop_path, sum(self.stages)))
        for i, (channels, depth) in enumerate(zip(self.channels, self.stages, strict=True)):
            grid = self._normed(grid, f"norm_{i}") if i else grid
            grid = self._shrunk(grid, channels, 2 if i else self.patch, f"embed_{i}")
            grid = grid if i else self._normed(grid, "norm_0")
            for j in range(depth):
                block = Block(self.mlp, self.scale, float(next(rates)), dtype=self.dtype, name=f"stage_{i}_block_{j}")
                grid = block(grid, train=train)
        return nn.grid.tokens(grid)

    def _normed(self, grid: Signal, name: str) -> Signal:
        norm = nn.LayerNorm(epsilon=_EPSILON, dtype=jnp.dtype(self.dtype), name=name)
        return grid.replace(values=norm(grid.values))

    def _shrunk(self, grid: Signal, channels: int, size: int, name: str) -> Signal:
        """A linear layer over windows of ``size`` by ``size``."""
        values = nn.embed.patches(masks.zeroed(grid.values, grid.mask), rows=size, columns=size)
        values = linen.Dense(channels, dtype=jnp.dtype(self.dtype), name=name)(values)
        return Signal(values, nn.grid.coarse(grid.mask, size))


class Block(linen.Module):
    """Convolution channel by channel, then place by place, beside a shortcut."""

    mlp: float
    scale: float
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, grid: Signal, *, train: bool) -> Signal:
        channels, dtype = grid.values.shape[-1], jnp.dtype(self.dtype)
        values = masks.zeroed(grid.values, grid.mask)
        near = linen.Conv(channels, (7, 7), feature_group_count=channels, dtype=dtype, name="near")
        branch = nn.LayerNorm(epsilon=_EPSILON, dtype=dtype, name="norm")(near(values))
        branch = nn.Mlp(self.mlp, dtype=self.dtype, name="mlp")(branch, train=train)
        scale = self.param("scale", linen.initializers.constant(self.scale), (channels,))
        branch *= scale.astype(dtype)
        branch = linen.Dropout(self.drop_path, broadcast_dims=(1, 2, 3), deterministic=not train)(branch)
        return grid.replace(values=values + branch)
