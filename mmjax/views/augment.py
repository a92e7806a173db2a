"""Random changes of pictures and series, made on the devices: ``(values, *, key) -> values``, each row by itself.

Pictures are ``b h w c`` and films ``b t h w c`` (uint8, or floats), series ``b t c`` and waveforms ``b t``. uint8 goes
in and comes out as such; sizes of changes are told on the scale of -1 to 1 that encoders read pixels on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Signal, UserError

Array = Any


def apply(signal: Signal, steps: Sequence[Any], *, key: jax.Array) -> Signal:
    """A signal after all ``steps``, each with a key of its own; masks stay as they are."""
    values = jnp.asarray(signal.values)
    found = values / 127.5 - 1 if values.dtype == jnp.uint8 else values
    for number, step in enumerate(steps):
        found = step(found, key=jax.random.fold_in(key, number))
    if values.dtype == jnp.uint8:
        found = jnp.clip(jnp.round((found + 1) * 127.5), 0, 255)
    return signal.replace(values=found.astype(values.dtype))


@dataclass(frozen=True)
class Noise:
    """Normal noise of this standard deviation on every number."""

    scale: float = 0.1

    def __call__(self, values: Array, *, key: jax.Array) -> Array:
        return values + self.scale * jax.random.normal(key, values.shape, values.dtype)


@dataclass(frozen=True)
class Shift:
    """Moved by up to ``most`` places along each axis but the channels'; what comes in from outside is ``fill``."""

    most: int = 2
    fill: float = -1.0

    def __call__(self, values: Array, *, key: jax.Array) -> Array:
        axes = _places(values)
        by = jax.random.randint(key, (len(values), len(axes)), 0, 2 * self.most + 1)

        def move(row: Array, by: Array) -> Array:
            wide = [(self.most, self.most)] * len(axes) + [(0, 0)] * (row.ndim - len(axes))
            start = [*by, *[jnp.zeros_like(by[0])] * (row.ndim - len(axes))]
            return jax.lax.dynamic_slice(jnp.pad(row, wide, constant_values=self.fill), start, row.shape)

        return jax.vmap(move)(values, by)


@dataclass(frozen=True)
class Flip:
    """Mirrored left to right, half of the pictures."""

    def __call__(self, values: Array, *, key: jax.Array) -> Array:
        chosen = jax.random.bernoulli(key, 0.5, (len(values),) + (1,) * (values.ndim - 1))
        return jnp.where(chosen, jnp.flip(_pictures(values), axis=-2), values)


@dataclass(frozen=True)
class Crop:
    """A part of a picture, of ``least`` to ``most`` of its area, made as large as the picture was (bilinear).

    Its sides differ by up to a factor of ``stretch`` more than the picture's (Szegedy et al., 2014,
    https://arxiv.org/abs/1409.4842).
    """

    least: float = 0.4
    most: float = 1.0
    stretch: float = 4 / 3

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most <= 1 or self.stretch < 1:
            raise UserError(f"views.Crop: 0 < least={self.least} <= most={self.most} <= 1 <= stretch={self.stretch}")

    def __call__(self, values: Array, *, key: jax.Array) -> Array:
        sides, shape = jnp.asarray(_pictures(values).shape[-3:-1]), values.shape
        area_key, stretch_key, place_key = jax.random.split(key, 3)
        area = jax.random.uniform(area_key, (len(values), 1), minval=self.least, maxval=self.most)
        wide = jnp.log(self.stretch) / 2 * jax.random.uniform(stretch_key, (len(values), 1), minval=-1.0)
        share = jnp.clip(jnp.sqrt(area) * jnp.exp(jnp.concatenate([wide, -wide], axis=1)), 0.0, 1.0)
        start = jax.random.uniform(place_key, share.shape) * (1 - share) * sides

        def cut(picture: Array, share: Array, start: Array) -> Array:
            return jax.image.scale_and_translate(
                picture, picture.shape, (0, 1), 1 / share, -start / share, "linear", antialias=False
            )

        films = values if values.ndim == 5 else values[:, None]  # all pictures of a film alike
        return jax.vmap(jax.vmap(cut, (0, None, None)))(films, share, start).reshape(shape).astype(values.dtype)


@dataclass(frozen=True)
class Erase:
    """A box of ``least`` to ``most`` of the places along each axis but the channels' is ``fill`` (random erasing, Zhong
    et al., 2017, https://arxiv.org/abs/1708.04896). Of series it is a span of time."""

    least: float = 0.1
    most: float = 0.4
    fill: float = 0.0

    def __call__(self, values: Array, *, key: jax.Array) -> Array:
        inside = jnp.ones(values.shape, bool)
        for axis in _places(values):
            size_key, place_key = jax.random.split(jax.random.fold_in(key, axis))
            size = jax.random.uniform(size_key, (len(values), 1), minval=self.least, maxval=self.most)
            start = jax.random.uniform(place_key, size.shape) * (1 - size)
            place = (jnp.arange(values.shape[axis]) + 0.5) / values.shape[axis]
            within = (place >= start) & (place < start + size)
            inside &= within.reshape([n if i in (0, axis) else 1 for i, n in enumerate(values.shape)])
        return jnp.where(inside, jnp.asarray(self.fill, values.dtype), values)


@dataclass(frozen=True)
class Light:
    """Contrast times a number within ``contrast`` of 1, and as much light as up to ``light`` added, a row alike."""

    light: float = 0.2
    contrast: float = 0.2

    def __call__(self, values: Array, *, key: jax.Array) -> Array:
        one = (len(values),) + (1,) * (values.ndim - 1)
        draw: Callable[..., Array] = jax.random.uniform
        light, contrast = (draw(each, one, values.dtype, minval=-1.0) for each in jax.random.split(key))
        return values * (1 + self.contrast * contrast) + self.light * light


def _places(values: Array) -> tuple[int, ...]:
    """Axes along which there are places: not of rows, nor of channels."""
    return tuple(range(1, max(2, values.ndim - 1)))


def _pictures(values: Array) -> Array:
    if values.ndim not in (4, 5):
        raise UserError(f"a picture b h w c or a film b t h w c is wanted; this signal is of shape {values.shape}")
    return values
