"""Videos to tokens, picture by picture."""

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, masks, plain


class Frames(linen.Module):
    """Each frame through ``picture``, any encoder of images, pooled to one token; then a transformer over time.

    After the Video Transformer Network (Neimark et al., 2021, https://arxiv.org/abs/2102.00719), with full attention.

    ``positions`` of the frames are sinusoidal, learned (``length`` of them), rotary, relative or none. Packed rows
    stay apart. A ``depth`` of 0 leaves each frame to itself. Frames that are hidden (``views.Stills``) cost nothing.
    """

    picture: linen.Module
    width: int = 64
    depth: int = 2
    heads: int = 4
    positions: str = "sinusoidal"
    length: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    norm_first: bool = True
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, frames: int) -> int:
        """How many tokens a video of so many frames gives."""
        return frames

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        b, t = signal.mask.shape
        shown = nn.kept.only(Tokens(signal.values.reshape(b, t, -1), signal.mask), signal.kept)
        pictures = Signal(shown.values.reshape(-1, *signal.values.shape[2:]), shown.mask.reshape(-1, 1))
        seen = self.picture(pictures, train=train)
        values = nn.pool.mean(seen.values, seen.mask).reshape(b, shown.mask.shape[1], -1)
        values = linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)
        positions = signal.positions if signal.kept is None else shown.positions
        at = jnp.arange(t)[None] if positions is None else positions
        values = nn.position.marked(values, at, kind=self.positions, length=self.length)
        values = masks.zeroed(values, shown.mask)
        return trunk(Tokens(values, shown.mask, signal.segments, positions, signal.kept), train=train)
