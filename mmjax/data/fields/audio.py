"""Recordings, by soundfile and soxr."""

import dataclasses
import io
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import cropped, padded
from mmjax.data.sources import Row, Rows

LARGEST = 1 << 28  # samples over all channels, 1 GiB decoded; a small FLAC file of silence can hold far more
_OGG_PAGE = 27 + 255 + 255 * 255  # bytes of the largest page
_LONGEST = 10.0  # seconds; the longest window that nobody asked for


@dataclasses.dataclass(frozen=True)
class Audio:
    """A WAV, FLAC, OGG or MP3 file of any rate and number of channels, encoded bytes, or an array.

    Channels are averaged, and the wave is resampled to ``rate`` Hz. ``seconds`` None is the longest
    training recording, at most 10 s. A longer recording keeps its centre; ``transforms.CropTime`` takes
    random parts in training. An array ``t`` or ``t c`` is at ``rate`` already; a pair (array, rate) brings its own.
    """

    column: str | None = None
    rate: int = 16_000
    seconds: float | None = None

    kind: ClassVar[str] = "audio"

    def __post_init__(self) -> None:
        if self.rate <= 0 or (self.seconds is not None and self.seconds <= 0):
            raise UserError(f"fields.Audio: rate {self.rate} and seconds {self.seconds} must be above 0")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        if self.seconds is None:
            raise UserError("fields.Audio has no length yet; fit it on training rows")
        return (max(1, round(self.seconds * self.rate)),)

    def fit(self, rows: Rows) -> "Audio":
        if self.seconds is not None:
            return self
        longest = max(rows.distinct(self.column or "").each(self._duration), default=None)
        if longest is None:
            raise UserError(f"no training row has a recording in column {self.column!r}; give fields.Audio its seconds")
        # A whole number of hundredths, rounded up, so that the figure in the schema reads well.
        return dataclasses.replace(self, seconds=min(_LONGEST, float(np.ceil(longest * 100)) / 100))

    def read(self, row: Row) -> np.ndarray | None:
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        what = cell if isinstance(cell, str) else f"the recording in {self.column}"
        wave, rate = _decoded(row, cell, what) if isinstance(cell, str | bytes) else _array(row, cell, what, self.rate)
        if not wave.size:
            raise row.bad(f"{what} holds no sound")
        if not np.isfinite(wave).all():
            raise row.bad(f"{what} holds NaN or infinite samples")
        if wave.ndim == 2:
            wave = wave.mean(axis=1, dtype=np.float32) if wave.shape[1] > 1 else wave[:, 0]
        if rate != self.rate:
            import soxr

            wave = soxr.resample(np.ascontiguousarray(wave), rate, self.rate)
            if not wave.size:
                raise row.bad(f"{what} is too short to resample from {rate} to {self.rate} Hz")
        return np.ascontiguousarray(wave, np.float32)

    def decoded(self, row: Row) -> Any:
        """A cell that ``read`` takes for the row's own without any file; None where it is missing."""
        wave = self.read(row)
        return None if wave is None else (wave, self.rate)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        return padded(examples, self.shape, np.float32, centre=True)

    def laid(self, example: np.ndarray) -> np.ndarray:
        """What stands in a row that it shares with others: ``units(example)`` along the first axis."""
        return cropped(example, self.shape[0], centre=True)

    def cuts(self, example: np.ndarray) -> bool:
        return len(example) > self.shape[0]

    def units(self, example: np.ndarray) -> int:
        return min(len(example), self.shape[0])

    def describe(self) -> str:
        return f"{self.seconds:g} s at {self.rate:,} Hz"

    def _duration(self, row: Row) -> float | None:
        """Seconds, from the header alone."""
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        if not isinstance(cell, str | bytes):
            wave, rate = _array(row, cell, f"the recording in {self.column}", self.rate)
            return len(wave) / rate
        with _opened(row, cell, cell if isinstance(cell, str) else "the recording") as sound:
            return sound.frames / sound.samplerate


def _opened(row: Row, cell: str | bytes, what: str) -> Any:
    import soundfile

    try:
        sound = soundfile.SoundFile(io.BytesIO(cell) if isinstance(cell, bytes) else row.path(cell))
    except (soundfile.SoundFileError, TypeError, ValueError) as error:  # a headerless .raw name raises TypeError
        reason = str(error).rpartition(": ")[2].rstrip(".") or "unknown format"
        raise row.bad(f"{what} is not a recording that libsndfile knows ({reason})") from None
    if sound.frames * sound.channels > LARGEST:
        sound.close()
        raise row.bad(f"{what} has {sound.frames:,} x {sound.channels} samples, more than {LARGEST:,}")
    return sound


def _decoded(row: Row, cell: str | bytes, what: str) -> tuple[np.ndarray, int]:
    """The wave ``t c`` and its rate. A file shorter than its header says is truncated, not short."""
    import soundfile

    with io.BytesIO(cell) if isinstance(cell, bytes) else open(row.path(cell), "rb") as file:
        if _wav_is_short(file) or _ogg_is_short(file):
            raise row.bad(f"{what} is truncated")
    with _opened(row, cell, what) as sound:
        try:
            wave = sound.read(dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise row.bad(f"{what} cannot be decoded ({error})") from None
        if len(wave) < sound.frames and sound.format in ("WAV", "FLAC", "MP3"):
            raise row.bad(f"{what} is truncated ({len(wave):,} of {sound.frames:,} samples)")
        return wave, sound.samplerate


def _wav_is_short(file: BinaryIO) -> bool:
    """Whether a WAV file ends before its data chunk does; libsndfile plays what is left without a word."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return False
    at = 12
    while at + 8 <= end:
        file.seek(at)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            return size != 0xFFFFFFFF and at + 8 + size > end  # all ones: written to a pipe, length unknown
        at += 8 + size + size % 2
    return True


def _ogg_is_short(file: BinaryIO) -> bool:
    """Whether the last page of an Ogg file lacks the flag that ends a stream, or bytes (RFC 3533, section 6)."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return False
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - _OGG_PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return True
    lengths = page[27 : 27 + page[26]]
    return len(lengths) < page[26] or len(page) < 27 + len(lengths) + sum(lengths)


def _array(row: Row, cell: Any, what: str, rate: int) -> tuple[np.ndarray, int]:
    if isinstance(cell, tuple) and len(cell) == 2:
        cell, rate = cell
    wave = np.asarray(cell)
    if wave.ndim not in (1, 2) or wave.dtype.kind not in "iuf" or not rate > 0:
        raise row.bad(f"{what} wants a file name or samples t or t c, not {wave.dtype} {wave.shape}")
    if wave.dtype == np.int16:
        wave = wave.astype(np.float32) / 32768
    return wave.astype(np.float32, copy=False), int(rate)
