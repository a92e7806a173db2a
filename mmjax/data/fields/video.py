"""Videos, by PyAV."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from mmjax.core import Signal, UserError, plain
from mmjax.data.fields import film
from mmjax.data.fields.field import padded
from mmjax.data.fields.image import Image, colourful, common_size, moments, pair
from mmjax.data.sources import Row, Rows

_LONGEST, _WIDEST = 16, 112  # frames, and pixels of the longest side, that nobody asked for
_HEADERS, _VIDEOS = 100, 16  # training rows looked at for size and length, and for channels, mean and deviation


@dataclasses.dataclass(frozen=True)
class Video:
    """A video file of any kind that FFmpeg knows, encoded bytes, or an array ``t h w`` or ``t h w c``.

    ``frames`` are taken evenly over its whole length, the middle one of each of so many equal stretches; a shorter
    video keeps all of its own, and the rest of its place is masked. None is the number of frames of the longest
    training video, at most 16. ``size``, ``channels``, ``resize``, ``background``, ``mean`` and ``std`` are those of
    ``fields.Image``, where a size that nobody asked for has at most 112 pixels a side. Videos that were turned when
    they were taken are turned upright; sound is left out.
    """

    column: str | None = None
    frames: int | None = None
    size: int | tuple[int, int] | None = None
    channels: Literal[1, 3] | None = None
    resize: Literal["pad", "crop", "stretch"] = "pad"
    background: int = 0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    kind: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise UserError(f"fields.Video: frames is {self.frames}; it must be 1 or more")
        try:
            self._picture.__post_init__()
        except UserError as error:
            raise UserError(str(error).replace("fields.Image", "fields.Video")) from None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        if self.frames is None or self.size is None:
            raise UserError("fields.Video has no length or size yet; fit it on training rows")
        return (self.frames, *pair(self.size), self.channels or 1)

    def fit(self, rows: Rows) -> "Video":
        rows = rows.distinct(self.column or "")
        fitted = self
        if self.size is None or self.frames is None:
            extents = list(rows.each(self._extent, limit=_HEADERS))
            if not extents:
                raise UserError(f"no training row has a video in column {self.column!r}; give fields.Video a size")
            size = common_size([(height, width) for height, width, _ in extents], widest=_WIDEST)
            frames = min(_LONGEST, max(count for _, _, count in extents))
            fitted = dataclasses.replace(fitted, size=self.size or size, frames=self.frames or frames)
        fitted = dataclasses.replace(fitted, size=pair(fitted.size))
        if self.channels is None:
            shown = list(rows.each(dataclasses.replace(fitted, channels=3).read, limit=_VIDEOS))
            colour = np.mean([colourful(pixels) for pixels in shown] or [False]) >= 0.05
            fitted = dataclasses.replace(fitted, channels=3 if colour else 1)
        if self.mean is None or self.std is None:
            facts = moments(rows.each(fitted.read, limit=_VIDEOS), fitted.channels or 1)
            mean, std = zip(*((round(m, 4), round(s, 4)) for m, s in facts), strict=True)
            fitted = dataclasses.replace(fitted, mean=mean, std=std)
        return fitted

    def read(self, row: Row) -> np.ndarray | None:
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        if self.frames is None:
            raise UserError("fields.Video has no length yet; fit it on training rows")
        if isinstance(cell, str | bytes):
            video = film.frames(row, cell, self.frames)
        else:
            video = _array(row, self.column, cell)
            video = video[film.sampled(len(video), self.frames)]
        picture = self._picture
        return np.stack([picture.fitted(frame) for frame in video])

    def decoded(self, row: Row) -> Any:
        """A cell that ``read`` takes for the row's own without any file; None where it is missing."""
        return self.read(row)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        kinds = {example.dtype for example in examples if example is not None}
        signal = padded(examples, self.shape, np.float32 if kinds - {np.dtype(np.uint8)} else np.uint8, centre=False)
        return Signal(self._picture.scaled(signal.values, signal.mask), signal.mask)

    def laid(self, example: np.ndarray) -> np.ndarray:
        """What stands in a row that it shares with others: ``units(example)`` along the first axis."""
        return self._picture.scaled(example, np.ones(len(example), bool))

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return len(example)

    def describe(self) -> str:
        return f"{self.frames} frames of {self._picture.describe()}"

    @property
    def _picture(self) -> Image:
        """What each frame is."""
        return Image(**plain.common(Image, self))

    def _extent(self, row: Row) -> tuple[int, int, int] | None:
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        if isinstance(cell, str | bytes):
            return film.extent(row, cell)
        video = _array(row, self.column, cell)
        return video.shape[1], video.shape[2], video.shape[0]


def _array(row: Row, column: str | None, cell: Any) -> np.ndarray:
    """An in-memory video as ``t h w c``, uint8 or float32."""
    video = np.asarray(cell)
    if video.ndim == 3:
        video = video[..., None]
    if video.ndim != 4 or video.shape[-1] not in (1, 3) or video.dtype.kind not in "buif" or not video.size:
        raise row.bad(
            f"{column} is no video: it wants a file name or numbers t h w, t h w 1 or t h w 3, "
            f"not {video.dtype} {video.shape}"
        )
    if video.dtype == np.uint8:
        return video
    video = video.astype(np.float32)
    if not np.isfinite(video).all():
        raise row.bad(f"{column} holds NaN or infinity")
    return video
