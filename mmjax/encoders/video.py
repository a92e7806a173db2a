"""Videos to tokens, by what stands where and then by when."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Shaped

from mmjax import nn
from mmjax.core import Kept, Signal, Tokens, UserError, masks, plain


class Video(linen.Module):
    """The factorised encoder of ViViT (Arnab et al., 2021, https://arxiv.org/abs/2103.15691): one token a time.

    A tube is ``patch`` by ``patch`` pixels over ``frames`` frames. ``depth`` layers let the tubes of one time see
    each other; what they make of it is averaged; ``time_depth`` layers let the times see each other. uint8 pixels are
    scaled to -1..1, floats taken as they are; a video is padded with 0 to whole tubes, and a tube is real where any of
    its frames is. ``positions``, in space and in time, are sinusoidal, learned (a table of ``grid`` rows and columns,
    ``length`` times), rotary, relative or none. Videos of a packed row never see each other, each to begin with a tube.

    Without ``pooled`` every tube is a token, those of the first time first, and the last layers let the tubes of one
    place see each other. Such tubes can be hidden (``views.Tubes``), and what is learned so fits the encoder that
    pools. With depths of 0 this is the front end of a ``Chain`` whose trunk lets every tube see all others, as in
    VideoMAE (Tong et al., 2022, https://arxiv.org/abs/2203.12602).
    Raises UserError where tubes that are pooled, or packed, are to be hidden.
    """

    width: int = 64
    depth: int = 2
    time_depth: int = 2
    heads: int = 4
    patch: int = 16
    frames: int = 2
    pooled: bool = True
    positions: str = "sinusoidal"
    grid: Sequence[int] = (14, 14)
    length: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    key_bias: bool = False
    norm_first: bool = True
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, frames: int, height: int = 0, width: int = 0) -> int:
        """How many tokens a video of so many frames gives; its height and width matter where tubes are not pooled."""
        times = -(-frames // self.frames)
        return times if self.pooled else times * -(-height // self.patch) * -(-width // self.patch)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        fields = {**plain.common(nn.Trunk, self), **nn.position.within(self.positions)}
        across = nn.Trunk(**fields, name="space")
        along = nn.Trunk(**{**fields, "depth": self.time_depth}, name="time")
        tubes, mask = nn.embed.tubes(signal, patch=self.patch, frames=self.frames)
        tubes = linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(tubes.astype(jnp.dtype(self.dtype)))
        b, t = mask.shape
        values, places = nn.position.marked_2d(
            tubes.reshape(b * t, *tubes.shape[2:]), kind=self.positions, grid=self.grid
        )
        here = jnp.broadcast_to(mask.reshape(-1, 1), values.shape[:2])
        seen = across(self._shown(Tokens(values, here, positions=places), signal, times=t), train=train)
        seen = nn.pool.means(seen) if self.pooled else seen
        m = seen.mask.shape[1]  # tubes of a time
        segments = None if signal.segments is None else signal.segments[:, :: self.frames]
        positions = None if signal.positions is None else signal.positions[:, :: self.frames] // self.frames
        segments, positions = jax.tree.map(lambda leaf: jnp.repeat(leaf, m, axis=0), (segments, positions))
        values = _turned(seen.values, t)
        moments = jnp.arange(t)[None] if positions is None else positions
        values = nn.position.marked(values, moments, kind=self.positions, length=self.length, name="moment")
        out = along(Tokens(values, _turned(seen.mask, t), segments, positions), train=train)
        out = jax.tree.map(lambda leaf: _turned(leaf, m).reshape(b, t * m, *leaf.shape[2:]), out)
        return out.replace(kept=signal.kept)

    def _shown(self, tubes: Tokens, signal: Signal, *, times: int) -> Tokens:
        """Of the tubes of each time, ``(b t) n d``, those that are kept: as many at every time."""
        kept = signal.kept
        if kept is None:
            return tubes
        masks.unpacked(signal, of="hiding tubes")
        if self.pooled:
            raise UserError("tubes that are pooled cannot be hidden; set pooled=False of encoders.Video")
        places = kept.mask.shape[1] // times
        own = Kept(jnp.where(kept.index < 0, -1, kept.index % places), kept.mask)
        return nn.kept.only(tubes, jax.tree.map(lambda leaf: leaf.reshape(len(tubes.mask), -1), own)).replace(kept=None)


def _turned(values: Shaped[Array, "bt m *d"], times: int) -> Shaped[Array, "bm t *d"]:
    """From a row for each time to one for each place."""
    apart = values.reshape(-1, times, *values.shape[1:]).swapaxes(1, 2)
    return apart.reshape(-1, times, *values.shape[2:])
