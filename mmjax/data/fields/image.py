"""Pictures, by Pillow."""

import dataclasses
import io
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import spread
from mmjax.data.sources import Row, Rows

LARGEST = 64_000_000  # pixels; a picture of more is refused by its header, before it can fill the memory
_WIDEST = 224  # pixels; the longest side of a size that nobody asked for
_HEADERS, _PICTURES = 1000, 128  # training rows looked at for the size, and for channels, mean and deviation
# What is opened, whatever a file's name says. Not EPS, which Pillow hands to another program to run.
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 lie on their side
_CACHED = 1 << 16  # numbers that are scaled at a time
_OPENING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Image:
    """A picture file, encoded bytes, or an array ``h w`` or ``h w c``.

    ``size`` is (height, width), one number for a square, or None: the size that at least half of the
    training pictures have, otherwise a square of their median short side, rounded to 16 and at most 224 pixels.
    ``channels`` is 1, 3 or None: 3 if at least 5 % of the training pictures looked at show colour (in 1 % of
    their pixels by more than 16 levels), otherwise 1. Colour becomes grey by the ITU-R 601 weights, grey becomes
    colour by repetition, transparency shows ``background``, 16-bit grey is divided by 257.
    ``resize`` is "pad" (nothing is lost; around it lies ``background``, or 0 for arrays of floats, whose range
    nobody knows), "crop" (the centre fills the frame) or "stretch"; EXIF orientation is applied; of an animation
    the first picture counts.
    ``mean`` and ``std``, one number a channel in units of the pixels (0-255), are learned if None and
    make batches float32; the empty tuple leaves pixels as they are.
    ``late`` batches leave pixels of 8 bits as they are, too, for a training step, which scales them where it runs: a
    quarter of the bytes goes there, and a decoder waits for nothing.
    """

    column: str | None = None
    size: int | tuple[int, int] | None = None
    channels: Literal[1, 3] | None = None
    resize: Literal["pad", "crop", "stretch"] = "pad"
    background: int = 255
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    late: bool = False

    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        if self.resize not in ("pad", "crop", "stretch"):
            raise UserError(f"fields.Image: resize is {self.resize!r}; it can be pad, crop or stretch")
        if self.channels not in (1, 3, None):
            raise UserError(f"fields.Image: channels is {self.channels!r}; it can be 1, 3 or None")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*pair(self.size), self.channels or 1)

    def fit(self, rows: Rows) -> "Image":
        rows = rows.distinct(self.column or "")
        size = self.size
        if size is None:
            size = common_size(list(rows.each(self.extent, limit=_HEADERS)))
        fitted = dataclasses.replace(self, size=pair(size))
        if self.channels is None:
            shows = list(rows.each(dataclasses.replace(fitted, channels=3)._shows_colour, limit=_PICTURES))
            fitted = dataclasses.replace(fitted, channels=3 if np.mean(shows or [False]) >= 0.05 else 1)
        if self.mean is None or self.std is None:
            facts = moments(rows.each(fitted.read, limit=_PICTURES), fitted.channels or 1)
            fitted = dataclasses.replace(
                fitted, mean=tuple(round(m, 4) for m, _ in facts), std=tuple(round(s, 4) for _, s in facts)
            )
        return fitted

    def read(self, row: Row) -> np.ndarray | None:
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        if isinstance(cell, str | bytes):
            return self._decoded(row, cell)
        return self.fitted(_array(row, self.column, cell))

    def decoded(self, row: Row) -> Any:
        """A cell that ``read`` takes for the row's own without any file; None where it is missing."""
        return self.read(row)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        if isinstance(examples, np.ndarray):
            pixels, present = examples, np.ones(len(examples), bool)
        else:
            present = np.array([example is not None for example in examples], bool)
            blank = np.zeros(self.shape, np.uint8)
            pixels = np.stack([blank if example is None else example for example in examples])
        late = self.late and pixels.dtype == np.uint8
        return Signal(pixels if late else self.scaled(pixels, present), present[:, None])

    def done(self, signal: Signal) -> Signal:
        """A batch without anything that was left for later: only pixels of 8 bits were."""
        if not self.late or signal.values.dtype != np.uint8:
            return signal
        return signal.replace(values=self.scaled(signal.values, signal.mask[:, 0]))

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return 1

    def describe(self) -> str:
        height, width = pair(self.size)
        colour = "grey" if self.channels == 1 else "colour"
        scale = ", ".join(f"{m:.3g}±{s:.3g}" for m, s in zip(self.mean or (), self.std or (), strict=True))
        return f"{height} x {width}, {colour}, {self.resize}" + (f", pixels {scale}" if scale else "")

    def extent(self, row: Row) -> tuple[int, int] | None:
        """Height and width, from the header alone."""
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        if not isinstance(cell, str | bytes):
            height, width = _array(row, self.column, cell).shape[:2]
            return height, width
        with _opened(row, cell) as picture:
            try:
                # Of a TIFF Pillow gives the turned size already; a PNG would have to be decoded to look behind its
                # pixels, and turned ones are rare.
                turned = picture.format not in ("PNG", "TIFF") and picture.getexif().get(_ORIENTATION, 1) >= 5
            except Exception as error:  # as when decoding
                raise row.bad(f"{_shown(cell)} {_why(error)}") from None
            return (picture.width, picture.height) if turned else (picture.height, picture.width)

    def _shows_colour(self, row: Row) -> bool | None:
        picture = self.read(row)
        if picture is None:
            return None
        return colourful(picture)

    def _decoded(self, row: Row, cell: str | bytes) -> np.ndarray:
        with _opened(row, cell) as picture:
            try:
                plain = _plain(_upright(picture), self.background)
            except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, EOFError and more
                raise row.bad(f"{_shown(cell)} {_why(error)}") from None
        mode = "L" if self.channels == 1 else "RGB"
        if plain.mode != mode:
            plain = plain.convert(mode)
        ground = self.background if mode == "L" else (self.background,) * 3
        return _resized(plain, pair(self.size), self.resize, ground)

    def scaled(self, pixels: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Pixels by the field's mean and deviation, if it has any; what is not ``present`` is 0."""
        if not self.mean:
            return pixels
        # Each part stays in the cache through three plain loops: six times as quick as one after the other over all.
        flat, channels = pixels.reshape(-1), pixels.shape[-1]
        step = min(_CACHED // channels, max(1, len(flat) // channels)) * channels
        wide = step // channels if channels > 1 else 1
        mean = np.tile(np.asarray(self.mean, np.float32), wide)
        scale = np.tile(1 / np.asarray(self.std, np.float32), wide)
        scaled = np.empty(flat.shape, np.float32)
        for start in range(0, len(flat), step):
            part = scaled[start : start + step]
            np.copyto(part, flat[start : start + step])
            np.subtract(part, mean[: len(part)], out=part)
            np.multiply(part, scale[: len(part)], out=part)
        scaled = scaled.reshape(pixels.shape)
        if not present.all():
            scaled[~present] = 0
        return scaled

    def fitted(self, array: np.ndarray) -> np.ndarray:
        """An array ``h w c`` in the field's size and channels."""
        import PIL.Image

        if self.channels == 3 and array.shape[-1] == 1:
            array = np.repeat(array, 3, axis=-1)
        elif self.channels == 1 and array.shape[-1] == 3:
            grey = array @ np.array([0.299, 0.587, 0.114], np.float32)
            array = (np.round(grey).astype(np.uint8) if array.dtype == np.uint8 else grey)[..., None]
        size = pair(self.size)
        if array.shape[:2] == size:
            return array
        ground = self.background if array.dtype == np.uint8 else 0
        if array.dtype == np.uint8 and array.shape[-1] == 3:
            return _resized(PIL.Image.fromarray(np.ascontiguousarray(array)), size, self.resize, (ground,) * 3)
        planes = [
            _resized(PIL.Image.fromarray(np.ascontiguousarray(array[..., c])), size, self.resize, ground)
            for c in range(array.shape[-1])
        ]
        return np.concatenate(planes, axis=-1)


def pair(size: Any) -> tuple[int, int]:
    """Height and width of a size as people write it."""
    if size is None:
        raise UserError("fields.Image has no size yet; fit it on training rows")
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def colourful(pixels: np.ndarray) -> bool:
    """Whether 1 % of the pixels, ``... 3``, show colour."""
    level = 16 if pixels.dtype == np.uint8 else float(np.ptp(pixels)) * 16 / 255
    return bool((np.ptp(pixels, axis=-1) > level).mean() > 0.01)


def common_size(extents: list[tuple[int, int]], *, widest: int = _WIDEST) -> tuple[int, int]:
    """The size for a set of pictures, by the rule in the class's words."""
    if not extents:
        raise UserError("no training row has a picture to learn the size from; give fields.Image a size")
    (height, width), count = Counter(extents).most_common(1)[0]
    if count * 2 < len(extents):
        height = width = int(np.median([min(extent) for extent in extents]))
    if max(height, width) > 64:
        scale = min(1.0, widest / max(height, width))
        height, width = (max(16, round(side * scale / 16) * 16) for side in (height, width))
    return height, width


def moments(pictures: Iterator[np.ndarray], channels: int) -> list[tuple[float, float]]:
    """Mean and deviation of each channel."""
    sums, squares, count = np.zeros(channels), np.zeros(channels), 0
    for picture in pictures:
        pixels = picture.reshape(-1, channels).astype(np.float64)
        sums += pixels.sum(axis=0)
        squares += np.square(pixels).sum(axis=0)
        count += len(pixels)
    return [spread(float(total), float(square), count) for total, square in zip(sums, squares, strict=True)]


def _opened(row: Row, cell: str | bytes) -> Any:
    """The picture with its header read and its size allowed."""
    import PIL.Image

    file = io.BytesIO(cell) if isinstance(cell, bytes) else row.path(cell)
    with _OPENING:  # Pillow warns on standard error of large pictures; here they are bad rows, so its limit rests
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            picture = PIL.Image.open(file, formats=_FORMATS)
        except Exception as error:  # as when decoding, and UnidentifiedImageError
            raise row.bad(f"{_shown(cell)} {_why(error)}") from None
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit
    if picture.width * picture.height > LARGEST:
        picture.close()
        raise row.bad(
            f"{_shown(cell)} has {picture.width} x {picture.height} pixels, more than {LARGEST // 10**6} million"
        )
    return picture


def _shown(cell: str | bytes) -> str:
    return cell if isinstance(cell, str) else "the picture"


def _why(error: Exception) -> str:
    if "truncated" in str(error).lower():
        return "is truncated"
    if "cannot identify" in str(error):
        return "is not a picture that Pillow knows"
    return f"cannot be decoded ({error})"


def _upright(picture: Any) -> Any:
    """Turned as its EXIF data say; one that is upright already is not copied."""
    import PIL.ImageOps

    picture.load()  # a PNG tells of it behind its pixels
    turned = picture.getexif().get(_ORIENTATION, 1)
    return PIL.ImageOps.exif_transpose(picture) if turned != 1 else picture


def _plain(picture: Any, background: int) -> Any:
    """Any mode as 8-bit grey or RGB, keeping what the picture shows."""
    import PIL.Image

    mode = picture.mode
    if mode.startswith("I"):
        values = np.asarray(picture)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise ValueError("its 32-bit pixels have no known range; save it with 8 or 16 bits")
        return PIL.Image.fromarray(np.round(values / 257).astype(np.uint8))
    if mode == "F":
        raise ValueError("its floating-point pixels have no known range; save it with 8 or 16 bits")
    if mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = PIL.Image.new("RGBA", layer.size, (background, background, background, 255))
        return PIL.Image.alpha_composite(ground, layer).convert("RGB")
    if mode in ("1", "L"):
        return picture if mode == "L" else picture.convert("L")
    return picture if mode == "RGB" else picture.convert("RGB")


def _resized(picture: Any, size: tuple[int, int], how: str, ground: Any) -> np.ndarray:
    """Antialiased to ``size``, as ``h w c``; ``ground`` is what a padded picture lies on."""
    import PIL.Image
    import PIL.ImageOps

    frame = (size[1], size[0])
    filtering = PIL.Image.Resampling.BILINEAR
    if picture.size != frame:
        if how == "stretch":
            picture = picture.resize(frame, filtering)
        elif how == "crop":
            picture = PIL.ImageOps.fit(picture, frame, filtering)
        else:
            picture = PIL.ImageOps.pad(picture, frame, filtering, color=ground)
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


def _array(row: Row, column: str | None, cell: Any) -> np.ndarray:
    """An in-memory picture as ``h w c``, uint8 or float32."""
    array = np.asarray(cell)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or array.dtype.kind not in "buif" or not array.size:
        raise row.bad(
            f"{column} is no picture: it wants a file name or numbers h w, h w 1 or h w 3, "
            f"not {array.dtype} {array.shape}"
        )
    if array.shape[0] * array.shape[1] > LARGEST:
        raise row.bad(f"{column} has {array.shape[1]} x {array.shape[0]} pixels, more than {LARGEST // 10**6} million")
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise row.bad(f"{column} holds NaN or infinity")
    return array
