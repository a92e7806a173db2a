"""Videos to tokens, by what stands where and then by when."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, masks, plain


class Video(linen.Module):
    """The factorised encoder of ViViT (Arnab et al., 2021, https://arxiv.org/abs/2103.15691): one token a time.

    A tube is ``patch`` by ``patch`` pixels over ``frames`` frames. ``depth`` layers let the tubes of one time see
    each other; what they make of it is averaged; ``time_depth`` layers let the times see each other. uint8 pixels are
    scaled to -1..1, floats taken as they are; a video is padded with 0 to whole tubes, and a tube is real where any of
    its frames is. ``positions``, in space and in time, are sinusoidal, learned (a table of ``grid`` rows and columns,
    ``length`` times), rotary, relative or none. Videos of a packed row never see each other, each to begin with a tube.
    """

    width: int = 64
    depth: int = 2
    time_depth: int = 2
    heads: int = 4
    patch: int = 16
    frames: int = 2
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

    def tokens(self, frames: int) -> int:
        """How many tokens a video of so many frames gives."""
        return -(-frames // self.frames)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        fields = {**plain.common(nn.Trunk, self), **nn.position.within(self.positions)}
        across = nn.Trunk(**fields, name="space")
        along = nn.Trunk(**{**fields, "depth": self.time_depth}, name="time")
        tubes, mask = self._tubes(signal)
        b, t = mask.shape
        values, places = nn.position.marked_2d(
            tubes.reshape(b * t, *tubes.shape[2:]), kind=self.positions, grid=self.grid
        )
        here = jnp.broadcast_to(mask.reshape(-1, 1), values.shape[:2])
        seen = across(Tokens(values, here, positions=places), train=train)
        values = nn.pool.mean(seen.values, seen.mask).reshape(b, t, self.width)
        segments = None if signal.segments is None else signal.segments[:, :: self.frames]
        positions = None if signal.positions is None else signal.positions[:, :: self.frames] // self.frames
        moments = jnp.arange(t)[None] if positions is None else positions
        values = nn.position.marked(values, moments, kind=self.positions, length=self.length, name="moment")
        return along(Tokens(values, mask, segments, positions), train=train)

    def _tubes(self, signal: Signal) -> tuple[Float[Array, "b t i j d"], Bool[Array, "b t"]]:
        """One vector a tube, and which times are real."""
        values = masks.zeroed(signal.values, signal.mask).astype(jnp.float32)
        if signal.values.dtype == jnp.uint8:
            values = jnp.where(signal.mask[:, :, None, None, None], values / 127.5 - 1, 0)
        room = ((0, 0), (0, -values.shape[1] % self.frames))
        values, mask = jnp.pad(values, (*room, (0, 0), (0, 0), (0, 0))), jnp.pad(signal.mask, room)
        b, length = mask.shape
        mask = jnp.any(mask.reshape(b, -1, self.frames), axis=2)
        flat = nn.embed.patches(
            values.reshape(b * length, *values.shape[2:]), rows=self.patch, columns=self.patch
        )  # (b t) i j d
        flat = flat.reshape(*mask.shape, self.frames, *flat.shape[1:])
        flat = jnp.moveaxis(flat, 2, -2).reshape(*mask.shape, *flat.shape[3:5], -1)
        flat = flat.astype(jnp.dtype(self.dtype))
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(flat), mask
