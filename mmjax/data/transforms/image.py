"""What training does to pictures ``h w c``."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from mmjax.data.transforms.example import Inputs, changed


@dataclasses.dataclass(frozen=True)
class Crop:
    """Pad by ``margin`` pixels on every side, with the value ``fill``, and cut the old size out at a random place."""

    modality: str
    margin: int = 4
    fill: float = 0.0

    kinds: ClassVar[tuple[str, ...]] = ("image",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        top, left = rng.integers(0, 2 * self.margin + 1, size=2)

        def cut(picture: np.ndarray) -> np.ndarray:
            height, width, channels = picture.shape
            room = np.full((height + 2 * self.margin, width + 2 * self.margin, channels), self.fill, picture.dtype)
            room[self.margin : self.margin + height, self.margin : self.margin + width] = picture
            return room[top : top + height, left : left + width]

        return changed(inputs, self.modality, cut)


@dataclasses.dataclass(frozen=True)
class Flip:
    """Mirror left and right (``axis`` "horizontal") or top and bottom ("vertical") with this probability."""

    modality: str
    probability: float = 0.5
    axis: str = "horizontal"

    kinds: ClassVar[tuple[str, ...]] = ("image",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        turned = rng.random() < self.probability
        side = 1 if self.axis == "horizontal" else 0
        return changed(inputs, self.modality, lambda picture: np.flip(picture, side) if turned else picture)


@dataclasses.dataclass(frozen=True)
class Affine:
    """Turn by up to ``degrees``, move by up to ``shift`` of the side, and scale by up to a share ``scale``, each way.

    Bilinear about the centre; what comes in from outside has the value ``fill``.
    """

    modality: str
    degrees: float = 10.0
    shift: float = 0.05
    scale: float = 0.1
    fill: float = 0.0

    kinds: ClassVar[tuple[str, ...]] = ("image",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        angle, down, right, zoom = rng.uniform(-1, 1, size=4)
        angle = math.radians(angle * self.degrees)
        size = 1 + zoom * self.scale

        def move(picture: np.ndarray) -> np.ndarray:
            height, width = picture.shape[:2]
            centre = ((height - 1) / 2, (width - 1) / 2)
            y, x = np.mgrid[:height, :width].astype(np.float32)
            y -= np.float32(centre[0] + down * self.shift * height)
            x -= np.float32(centre[1] + right * self.shift * width)
            cosine, sine = np.float32(math.cos(angle) / size), np.float32(math.sin(angle) / size)
            return _sampled(picture, cosine * y - sine * x + centre[0], sine * y + cosine * x + centre[1], self.fill)

        return changed(inputs, self.modality, move)


@dataclasses.dataclass(frozen=True)
class Erase:
    """With this probability, cover a rectangle of up to ``area`` of the picture with noise (Zhong et al., 2017,
    https://arxiv.org/abs/1708.04896), whose values are drawn evenly between the picture's least and greatest."""

    modality: str
    probability: float = 0.5
    area: float = 0.25

    kinds: ClassVar[tuple[str, ...]] = ("image",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        erased = rng.random() < self.probability
        share, log_ratio, top, left = rng.random(4)
        noise = np.random.default_rng(rng.integers(2**63))

        def cover(picture: np.ndarray) -> np.ndarray:
            if not erased:
                return picture
            height, width, channels = picture.shape
            ratio = math.exp((2 * log_ratio - 1) * math.log(3))
            side = math.sqrt(share * self.area * height * width)
            h, w = min(height, math.ceil(side * math.sqrt(ratio))), min(width, math.ceil(side / math.sqrt(ratio)))
            y, x = int(top * (height - h + 1)), int(left * (width - w + 1))
            out = picture.copy()
            values = noise.uniform(picture.min(), picture.max(), (h, w, channels))
            out[y : y + h, x : x + w] = values.astype(picture.dtype)
            return out

        return changed(inputs, self.modality, cover)


@dataclasses.dataclass(frozen=True)
class Light:
    """Brightness by up to ``brightness`` of the picture's range and contrast by up to a share ``contrast``, each way.

    8-bit pixels stay within 0-255; the contrast turns about the picture's mean.
    """

    modality: str
    brightness: float = 0.2
    contrast: float = 0.2

    kinds: ClassVar[tuple[str, ...]] = ("image",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        up, spread = rng.uniform(-1, 1, size=2)

        def light(picture: np.ndarray) -> np.ndarray:
            values = picture.astype(np.float32)
            span = 255.0 if picture.dtype == np.uint8 else float(np.ptp(values))
            mean = values.mean()
            values = (values - mean) * np.float32(1 + spread * self.contrast) + mean
            values += np.float32(up * self.brightness * span)
            return _like(picture, values)

        return changed(inputs, self.modality, light)


def _sampled(picture: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float) -> np.ndarray:
    """Bilinear values of the picture at (y, x), ``fill`` outside it."""
    height, width, channels = picture.shape
    room = np.full((height + 2, width + 2, channels), fill, np.float32)
    room[1:-1, 1:-1] = picture
    y, x = np.clip(y + 1, 0, height + 0.999), np.clip(x + 1, 0, width + 0.999)
    top, left = y.astype(np.int64), x.astype(np.int64)
    down, right = (y - top)[..., None], (x - left)[..., None]
    flat = room.reshape(-1, channels)
    corner = top * (width + 2) + left
    above = flat[corner] * (1 - right) + flat[corner + 1] * right
    below = flat[corner + width + 2] * (1 - right) + flat[corner + width + 3] * right
    return _like(picture, above * (1 - down) + below * down)


def _like(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(picture.dtype)
