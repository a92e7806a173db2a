"""What the tokens of videos, series and tables stand for, as their encoders cut them: ``b n p``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import nn
from mmjax.core import Signal, masks

Array = Any


@dataclass(frozen=True)
class Tubes:
    """Pixels of each tube of a video, those of the first time first, as an ``encoders.Video(pooled=False)`` of these
    fields cuts and scales them. The same places are hidden at all times, so that nothing is told by what hardly moves
    (VideoMAE, Tong et al., 2022, https://arxiv.org/abs/2203.12602, which hides nine in ten).
    """

    patch: int = 16
    frames: int = 2

    def __call__(self, signal: Signal) -> Array:
        cut, _ = nn.embed.tubes(jax.tree.map(jnp.asarray, signal), patch=self.patch, frames=self.frames)
        return cut.reshape(len(cut), -1, cut.shape[-1])

    def times(self, signal: Signal) -> int:
        """How many tubes stand at each place."""
        return -(-signal.mask.shape[1] // self.frames)


@dataclass(frozen=True)
class Stills:
    """Pixels of each frame of a video, as ``encoders.Frames`` sees them; some whole frames are hidden."""

    def __call__(self, signal: Signal) -> Array:
        cut, _ = nn.embed.tubes(jax.tree.map(jnp.asarray, signal), patch=1, frames=1)
        return cut.reshape(*cut.shape[:2], -1)


@dataclass(frozen=True)
class Steps:
    """The numbers of every ``patch`` steps of a series, as an ``encoders.Sensor`` of this patch cuts them."""

    patch: int = 4

    def __call__(self, signal: Signal) -> Array:
        values = masks.zeroed(jnp.asarray(signal.values), jnp.asarray(signal.mask))
        values = jnp.pad(values, ((0, 0), (0, -values.shape[1] % self.patch), (0, 0)))
        return values.reshape(len(values), -1, self.patch * values.shape[2])


@dataclass(frozen=True)
class Cells:
    """Each cell of a table as as many numbers as its largest category has codes: a number is the first of them, a
    category 1 at its own; the others are 0. ``cardinalities`` are those of ``encoders.Table``."""

    cardinalities: Sequence[int]

    def __call__(self, signal: Signal) -> Array:
        sizes = np.asarray(self.cardinalities, int)
        cells = masks.zeroed(jnp.asarray(signal.values), jnp.asarray(signal.mask)).astype(jnp.float32)[..., None]
        places = np.arange(max(sizes.max(initial=0), 1))
        codes = jnp.clip(cells, 0, np.maximum(sizes - 1, 0)[:, None]).astype(jnp.int32)
        return jnp.where(sizes[:, None] == 0, jnp.where(places == 0, cells, 0), (codes == places).astype(jnp.float32))
