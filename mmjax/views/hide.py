"""Most of what a row has is hidden, and is what the rest has to tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import nn
from mmjax.core import Batch, Kept, Signal, UserError
from mmjax.views.several import given

Array = Any


@dataclass(frozen=True)
class Patches:
    """Pixels of each patch of a picture, ``b n p``, as ``encoders.Image`` cuts and scales them."""

    patch: int = 4

    def __call__(self, signal: Signal) -> Array:
        values = jnp.asarray(signal.values)
        values = values.astype(jnp.float32) / 127.5 - 1 if values.dtype == jnp.uint8 else values
        cut = nn.embed.patches(values, rows=self.patch, columns=self.patch)
        return cut.reshape(len(cut), -1, cut.shape[-1])


@dataclass(frozen=True)
class Squares:
    """Each square of a recording's spectrum, ``b n p``, as an ``encoders.Spectrogram`` of these fields cuts it, with a
    ``stride`` of ``patch`` (Audio-MAE, Huang et al., 2022, https://arxiv.org/abs/2207.06405)."""

    patch: int = 16
    rate: int = 16_000
    mels: int = 128
    window: float = 0.025
    hop: float = 0.010

    def __call__(self, signal: Signal) -> Array:
        own = {"rate": self.rate, "mels": self.mels, "window": self.window, "hop": self.hop}
        picture = nn.mel.frames(jax.tree.map(jnp.asarray, signal), **own).values.swapaxes(1, 2)
        sides = [size // self.patch * self.patch for size in picture.shape[1:]]
        return Patches(self.patch)(Signal(picture[:, : sides[0], : max(sides[1], self.patch), None], signal.mask))


@dataclass(frozen=True)
class Words:
    """The word of each token of a text: ``b n``, classes."""

    def __call__(self, signal: Signal) -> Array:
        return jnp.asarray(signal.values)


@dataclass(frozen=True)
class Hide:
    """Encoders work on a random part of their tokens; what stood in the others is a target of the modality's name.

    MAE (He et al., 2021, https://arxiv.org/abs/2111.06377) of one modality; of several, each keeps a random part of its
    own (MultiMAE, Bachmann et al., 2022, https://arxiv.org/abs/2204.01678; 4M, Mizrahi et al., 2023,
    https://arxiv.org/abs/2312.06647). of: by modality, what its tokens stand for, as ``Patches(4)``. share: of each
    row's real tokens so many are hidden, rounded down; (low, high): drawn between for each row and modality. first:
    by modality, how many tokens come before these, as class tokens, which are always kept. Of videos the same tubes are
    hidden at all times (``Tubes``).

    The inputs are as they were, with ``Signal.kept`` of as many places in every row as the fullest one needs. Targets
    are masked but for hidden tokens that are real: nothing is asked of padding or of what a row lacks. Which tokens are
    real the model says itself; of that no more is computed than masks.
    """

    of: Mapping[str, Any]
    share: float | tuple[float, float] = 0.75
    first: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self._range
        if not 0 <= low <= high < 1:
            raise UserError(f"views.Hide: share={self.share} of tokens to hide; it has to be from 0 to below 1")

    @property
    def _range(self) -> tuple[float, float]:
        return self.share if isinstance(self.share, tuple) else (self.share, self.share)

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        streams = said(batch.inputs).streams
        inputs, targets = dict(batch.inputs), dict(batch.targets)
        for number, (name, cut) in enumerate(sorted(self.of.items())):
            signal = given(batch.inputs, name)
            if name in targets or name not in streams:
                raise UserError(f"views.Hide: {name!r} is " + ("a target" if name in targets else "not encoded"))
            first, whole, real = self.first.get(name, 0), cut(signal), streams[name].mask
            if whole.shape[1] != real.shape[1] - first:
                raise UserError(
                    f"views.Hide: {cut!r} makes {whole.shape[1]} tokens of {name!r}, its encoder "
                    f"{real.shape[1] - first} after the first {first}; make them equal"
                )
            times = cut.times(signal) if hasattr(cut, "times") else 1
            kept, hidden = self._alike(real, first, times, jax.random.fold_in(key, number))
            mask = jnp.broadcast_to(hidden.reshape(hidden.shape + (1,) * (whole.ndim - 2)), whole.shape)
            inputs[name], targets[name] = signal.replace(kept=kept), Signal(whole, mask)
        return batch.replace(inputs=inputs, targets=targets)

    def _alike(self, real: Array, first: int, times: int, key: jax.Array) -> tuple[Kept, Array]:
        """As ``_drawn``; of tokens at several times, ``b (t n)``, the same are hidden at all of them."""
        if times == 1:
            return self._drawn(real, first, key)
        apart = real.reshape(len(real), times, -1)
        places, hidden = self._drawn(jnp.any(apart, axis=1), 0, key)
        index = jnp.maximum(places.index, 0)[:, None] + jnp.arange(times)[:, None] * apart.shape[2]
        index = index.reshape(len(real), -1)
        here = jnp.take_along_axis(real, index, axis=1) & jnp.tile(places.index >= 0, (1, times))
        return Kept(jnp.where(here, index, -1), real), (apart & hidden[:, None]).reshape(real.shape)

    def _drawn(self, real: Array, first: int, key: jax.Array) -> tuple[Kept, Array]:
        """What is kept of tokens ``b n``, and which of those after the first are hidden."""
        draw_key, share_key = jax.random.split(key)
        (rows, count), (low, high) = real.shape, self._range
        own = jnp.sum(real[:, first:], axis=1)
        room = np.asarray([n - int(n * low) for n in range(count - first + 1)])  # by how many there are
        share = jax.random.uniform(share_key, (rows,), minval=low, maxval=high)
        left = own - jnp.floor(own * share).astype(int) if low < high else jnp.asarray(room)[own]
        left = jnp.sum(real[:, :first], axis=1) + jnp.minimum(left, jnp.asarray(room)[own])
        draw = jax.random.uniform(draw_key, real.shape)
        order = jnp.argsort(jnp.where(real, draw, 2).at[:, :first].add(-1), axis=1)
        seen = (jnp.argsort(order, axis=1) < left[:, None]) & real
        size = first + int(room[-1])
        index = jnp.sort(jnp.where(seen, jnp.arange(count), count), axis=1)[:, :size]
        return Kept(jnp.where(index < count, index, -1).astype(jnp.int32), real), (real & ~seen)[:, first:]
