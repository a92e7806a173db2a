"""Pictures at their own size and shape, cut into patches."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from mmjax.core import Signal, UserError, plain
from mmjax.data.fields.image import Image, moments
from mmjax.data.sources import Row, Rows

_PICTURES = 128  # training rows looked at for channels, mean and deviation


@dataclasses.dataclass(frozen=True)
class Patches:
    """A picture as ``fields.Image`` takes it, kept in its own shape (NaViT, https://arxiv.org/abs/2307.06304).

    It is made smaller until it has at most ``most`` squares of ``patch`` pixels, never larger, and each side is
    brought to the nearest multiple of ``patch``. A signal holds patches ``b n d`` of d = patch * patch * channels
    pixels in reading order, with their rows and columns as positions ``b n 2``. ``channels``, ``background``, ``mean``
    and ``std`` are those of ``fields.Image``.
    """

    column: str | None = None
    patch: int = 16
    most: int = 196
    channels: Literal[1, 3] | None = None
    background: int = 255
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        if self.patch < 1 or self.most < 1:
            raise UserError(f"fields.Patches: patch={self.patch} and most={self.most} must be 1 or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.most, self.patch * self.patch * (self.channels or 1))

    def fit(self, rows: Rows) -> "Patches":
        rows = rows.distinct(self.column or "")
        fitted = self
        if self.channels is None:
            whole = dataclasses.replace(self._picture((self.patch, self.patch)), mean=(), std=())
            fitted = dataclasses.replace(self, channels=whole.fit(rows).channels)
        if self.mean is None or self.std is None:
            facts = moments(rows.each(fitted.read, limit=_PICTURES), fitted.channels or 1)
            mean, std = zip(*((round(m, 4), round(s, 4)) for m, s in facts), strict=True)
            fitted = dataclasses.replace(fitted, mean=mean, std=std)
        return fitted

    def read(self, row: Row) -> np.ndarray | None:
        """``h w c``, both sides multiples of ``patch``."""
        extent = Image(self.column).extent(row)
        return None if extent is None else self._picture(self.fitting(*extent)).read(row)

    def decoded(self, row: Row) -> Any:
        """A cell that ``read`` takes for the row's own without any file; None where it is missing."""
        return self.read(row)

    def fitting(self, height: int, width: int) -> tuple[int, int]:
        """The size that a picture of this size is brought to."""
        scale = min(1.0, (self.most * self.patch**2 / (height * width)) ** 0.5)
        rows, columns = (max(1, round(side * scale / self.patch)) for side in (height, width))
        while rows * columns > self.most:
            rows, columns = (rows - 1, columns) if rows >= columns else (rows, columns - 1)
        return rows * self.patch, columns * self.patch

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        kinds = {example.dtype for example in examples if example is not None}
        raw = not self.mean and kinds <= {np.dtype(np.uint8)}
        values = np.zeros((len(examples), *self.shape), np.uint8 if raw else np.float32)
        mask = np.zeros(values.shape[:2], bool)
        positions = np.zeros((*mask.shape, 2), np.int32)
        for i, example in enumerate(examples):
            if example is not None:
                laid = self.laid(example)
                values[i, : len(laid)], mask[i, : len(laid)] = laid, True
                positions[i, : len(laid)] = self.places(example)
        return Signal(values, mask, None, positions)

    def laid(self, example: np.ndarray) -> np.ndarray:
        """What stands in a row that it shares with others: ``units(example)`` along the first axis."""
        (h, w), p = example.shape[:2], self.patch
        squares = example.reshape(h // p, p, w // p, p, -1).swapaxes(1, 2).reshape(-1, p * p, example.shape[-1])
        scaled = self._picture((p, p)).scaled(squares, np.ones(len(squares), bool))
        return scaled.reshape(len(squares), -1)

    def places(self, example: np.ndarray) -> np.ndarray:
        """The row and column of each patch."""
        rows, columns = (side // self.patch for side in example.shape[:2])
        return np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return example.shape[0] // self.patch * (example.shape[1] // self.patch)

    def describe(self) -> str:
        colour = "grey" if self.channels == 1 else "colour"
        return f"up to {self.most} patches of {self.patch} x {self.patch}, {colour}, in each picture's own shape"

    def _picture(self, size: tuple[int, int]) -> Image:
        return Image(**{**plain.common(Image, self), "size": size, "resize": "stretch"})
