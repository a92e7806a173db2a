"""What training does to waves ``t`` and logs of sensors ``t c``."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from mmjax.data.transforms.example import Inputs, changed

_SERIES = ("audio", "sensor")


@dataclasses.dataclass(frozen=True)
class CropTime:
    """A random part of ``length`` samples, steps or frames; what is shorter stays as it is.

    Evaluation has no transforms: there a field keeps the centre.
    """

    modality: str
    length: int

    kinds: ClassVar[tuple[str, ...]] = (*_SERIES, "video")

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def cut(series: np.ndarray) -> np.ndarray:
            start = int(rng.random() * (max(0, len(series) - self.length) + 1))
            return series[start : start + self.length]

        return changed(inputs, self.modality, cut)


@dataclasses.dataclass(frozen=True)
class Shift:
    """Move by up to a share ``fraction`` of the length, earlier or later; what comes in is 0, what goes out is lost.

    With ``room`` samples or steps the series is first widened to that many, if it is shorter, and may stand
    anywhere in it. With ``wrap`` what goes out at one end comes in at the other, as suits sounds without a beginning.
    """

    modality: str
    fraction: float = 0.1
    room: int = 0
    wrap: bool = False

    kinds: ClassVar[tuple[str, ...]] = _SERIES

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def move(series: np.ndarray) -> np.ndarray:
            place, by = rng.random(), rng.uniform(-1, 1)
            spare = max(0, self.room - len(series))
            start = int(place * (spare + 1)) + round(by * self.fraction * len(series))
            if self.wrap:
                return np.roll(
                    np.concatenate([series, np.zeros((spare, *series.shape[1:]), series.dtype)]), start, axis=0
                )
            out = np.zeros((len(series) + spare, *series.shape[1:]), series.dtype)
            first, last = max(0, start), min(len(out), start + len(series))
            if first < last:
                out[first:last] = series[first - start : last - start]
            return out

        return changed(inputs, self.modality, move)


@dataclasses.dataclass(frozen=True)
class Gain:
    """Louder or softer by up to ``decibels``."""

    modality: str
    decibels: float = 6.0

    kinds: ClassVar[tuple[str, ...]] = _SERIES

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        factor = np.float32(10 ** (rng.uniform(-1, 1) * self.decibels / 20))
        return changed(inputs, self.modality, lambda series: series * factor)


@dataclasses.dataclass(frozen=True)
class Noise:
    """White noise, ``snr`` decibels below the series' own power, drawn from this range; silence stays silent."""

    modality: str
    snr: tuple[float, float] = (10.0, 40.0)

    kinds: ClassVar[tuple[str, ...]] = _SERIES

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def disturb(series: np.ndarray) -> np.ndarray:
            power = float(np.dot(series.ravel(), series.ravel())) / series.size
            level = math.sqrt(power) * 10 ** (-rng.uniform(*self.snr) / 20)
            return series + np.float32(level) * rng.standard_normal(series.shape, np.float32)

        return changed(inputs, self.modality, disturb)


@dataclasses.dataclass(frozen=True)
class Speed:
    """Faster or slower by up to a share ``rate``, as a tape would be: pitch and length change together (linear)."""

    modality: str
    rate: float = 0.1

    kinds: ClassVar[tuple[str, ...]] = _SERIES

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        speed = math.exp(rng.uniform(-1, 1) * math.log1p(self.rate))

        def wind(series: np.ndarray) -> np.ndarray:
            count = max(1, round(len(series) / speed))
            at = np.minimum(np.arange(count, dtype=np.float64) * speed, len(series) - 1)
            low = at.astype(np.int64)
            high = np.minimum(low + 1, len(series) - 1)
            part = (at - low).astype(np.float32).reshape(-1, *(1,) * (series.ndim - 1))
            return series[low] * (1 - part) + series[high] * part

        return changed(inputs, self.modality, wind)


@dataclasses.dataclass(frozen=True)
class Scale:
    """Every channel of a sensor by its own factor, up to a share ``scale`` up or down."""

    modality: str
    scale: float = 0.1

    kinds: ClassVar[tuple[str, ...]] = ("sensor",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def scaled(series: np.ndarray) -> np.ndarray:
            return series * rng.uniform(1 - self.scale, 1 + self.scale, series.shape[1]).astype(np.float32)

        return changed(inputs, self.modality, scaled)


@dataclasses.dataclass(frozen=True)
class Jitter:
    """Noise on every step of a sensor, with deviation ``jitter`` in units of the channel's own."""

    modality: str
    jitter: float = 0.05

    kinds: ClassVar[tuple[str, ...]] = ("sensor",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def shake(series: np.ndarray) -> np.ndarray:
            return series + np.float32(self.jitter) * rng.standard_normal(series.shape, np.float32)

        return changed(inputs, self.modality, shake)
