"""What training does to pictures ``h w c``, and alike to every frame of a video ``t h w c``."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from mmjax.data.transforms.example import Inputs, changed

_SIGHTS = ("image", "video")


@dataclasses.dataclass(frozen=True)
class Crop:
    """Pad by ``margin`` pixels on every side, with the value ``fill``, and cut the old size out at a random place."""

    modality: str
    margin: int = 4
    fill: float = 0.0

    kinds: ClassVar[tuple[str, ...]] = _SIGHTS

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def cut(picture: np.ndarray) -> np.ndarray:
            top, left = rng.integers(0, 2 * self.margin + 1, size=2)
            height, width, channels = picture.shape
            room = np.full((height + 2 * self.margin, width + 2 * self.margin, channels), self.fill, picture.dtype)
            room[self.margin : self.margin + height, self.margin : self.margin + width] = picture
            return room[top : top + height, left : left + width]

        return _seen(inputs, self.modality, cut)


@dataclasses.dataclass(frozen=True)
class Flip:
    """Mirror left and right (``axis`` "horizontal") or top and bottom ("vertical") with this probability."""

    modality: str
    probability: float = 0.5
    axis: str = "horizontal"

    kinds: ClassVar[tuple[str, ...]] = _SIGHTS

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        side = 1 if self.axis == "horizontal" else 0
        turned = rng.random() < self.probability
        return _seen(inputs, self.modality, lambda picture: np.flip(picture, side) if turned else picture)


@dataclasses.dataclass(frozen=True)
class Affine:
    """Turn by up to ``degrees``, move by up to ``shift`` of the side, and scale by up to a share ``scale``, each way.

    Bilinear about the centre, by Pillow; what comes in from outside has the value ``fill``.
    """

    modality: str
    degrees: float = 10.0
    shift: float = 0.05
    scale: float = 0.1
    fill: float = 0.0

    kinds: ClassVar[tuple[str, ...]] = _SIGHTS

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def move(picture: np.ndarray) -> np.ndarray:
            angle, down, right, zoom = rng.uniform(-1, 1, size=4)
            height, width, channels = picture.shape
            size = 1 + zoom * self.scale
            cosine, sine = math.cos(math.radians(angle * self.degrees)), math.sin(math.radians(angle * self.degrees))
            cosine, sine = cosine / size, sine / size
            # Where each pixel of the result comes from: x' = a x + b y + c, y' = d x + e y + f.
            x, y = width / 2 + right * self.shift * width, height / 2 + down * self.shift * height
            source = (
                cosine,
                sine,
                width / 2 - cosine * x - sine * y,
                -sine,
                cosine,
                height / 2 + sine * x - cosine * y,
            )
            if picture.dtype == np.uint8 and channels in (1, 3):
                return _moved(picture if channels == 3 else picture[..., 0], source, self.fill).reshape(picture.shape)
            planes = [_moved(picture[..., c], source, self.fill) for c in range(channels)]
            return np.stack(planes, axis=-1).astype(picture.dtype)

        return _seen(inputs, self.modality, move)


@dataclasses.dataclass(frozen=True)
class Erase:
    """With this probability, cover a rectangle of up to ``area`` of the picture with noise (Zhong et al., 2017,
    https://arxiv.org/abs/1708.04896), whose values are drawn evenly between the picture's least and greatest."""

    modality: str
    probability: float = 0.5
    area: float = 0.25

    kinds: ClassVar[tuple[str, ...]] = _SIGHTS

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def cover(picture: np.ndarray) -> np.ndarray:
            erased, share, log_ratio, top, left = rng.random(5)
            if erased >= self.probability:
                return picture
            height, width, channels = picture.shape
            ratio = math.exp((2 * log_ratio - 1) * math.log(3))
            side = math.sqrt(share * self.area * height * width)
            h, w = min(height, math.ceil(side * math.sqrt(ratio))), min(width, math.ceil(side / math.sqrt(ratio)))
            y, x = int(top * (height - h + 1)), int(left * (width - w + 1))
            out = picture.copy()
            least, most = float(picture.min()), float(picture.max())
            out[y : y + h, x : x + w] = least + (most - least) * rng.random((h, w, channels), np.float32)
            return out

        return _seen(inputs, self.modality, cover)


@dataclasses.dataclass(frozen=True)
class Light:
    """Brightness by up to ``brightness`` of the picture's range and contrast by up to a share ``contrast``, each way.

    8-bit pixels stay within 0-255; the contrast turns about the picture's mean.
    """

    modality: str
    brightness: float = 0.2
    contrast: float = 0.2

    kinds: ClassVar[tuple[str, ...]] = _SIGHTS

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def light(picture: np.ndarray) -> np.ndarray:
            up, spread = rng.uniform(-1, 1, size=2)
            values = picture.astype(np.float32)
            span = 255.0 if picture.dtype == np.uint8 else float(np.ptp(values))
            mean = values.mean()
            values = (values - mean) * np.float32(1 + spread * self.contrast) + mean
            values += np.float32(up * self.brightness * span)
            return _like(picture, values)

        return _seen(inputs, self.modality, light)


def _seen(inputs: Inputs, modality: str, change: Callable[[np.ndarray], np.ndarray]) -> Inputs:
    """``inputs`` with a picture changed, or a video: its frames lie side by side as channels of one picture."""

    def each(value: np.ndarray) -> np.ndarray:
        if value.ndim == 3:
            return change(value)
        frames, height, width, channels = value.shape
        flat = change(np.moveaxis(value, 0, 2).reshape(height, width, frames * channels))
        return np.moveaxis(flat.reshape(*flat.shape[:2], frames, channels), 2, 0)

    return changed(inputs, modality, each)


def _moved(picture: np.ndarray, source: tuple[float, ...], fill: float) -> np.ndarray:
    """The picture with every pixel taken from where ``source`` says."""
    import PIL.Image

    plane = PIL.Image.fromarray(np.ascontiguousarray(picture))
    level = fill if picture.dtype.kind == "f" else int(fill)
    colour = level if picture.ndim == 2 else (level,) * 3
    moved = plane.transform(
        plane.size, PIL.Image.Transform.AFFINE, source, PIL.Image.Resampling.BILINEAR, fillcolor=colour
    )
    return np.asarray(moved)


def _like(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(picture.dtype)
