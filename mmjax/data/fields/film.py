"""Some frames of a video file, by PyAV: FFmpeg's own decoders."""

import contextlib
import io
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmjax.data.sources import BadRow, Row

LARGEST = 64_000_000  # pixels of a frame; a video of more is refused by its header
LONGEST = 1 << 20  # frames, about 10 hours; the places of all of them are read before any is decoded
# What is opened, whatever a file's name says: containers of pictures themselves. Not playlists (HLS, DASH, concat,
# SDP), which name other files and addresses that FFmpeg would go and read.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,flv,asf,ogg,gif,mjpeg,mxf,nut,ivf,apng,h264,hevc,m4v,mpegvideo,av1,obu"
)
_ATTACHED = 0x400  # the cover of a recording is no video


def frames(row: Row, cell: str | bytes, count: int) -> np.ndarray:
    """``count`` frames evenly over the whole video, or all where it has fewer: ``t h w 3``, 8-bit RGB, upright.

    Frame i is the middle one of the i-th of ``count`` equal stretches. Raises BadRow for a file that is no video, is
    truncated, damaged, or too large.
    """
    what = shown(cell)
    with _opened(row, cell) as (container, stream):
        places = _places(row, what, container, stream)
        wanted = sampled(len(places), count)
        with _decoding(row, what):
            found = [_upright(frame) for frame in _picked(container, stream, places, wanted)]
    if len(found) < len(wanted):
        raise row.bad(f"{what} is truncated or damaged ({len(found)} of {len(wanted)} frames can be decoded)")
    if len({frame.shape for frame in found}) > 1:
        raise row.bad(f"{what} changes its size on the way")
    return np.stack(found)


def extent(row: Row, cell: str | bytes) -> tuple[int, int, int]:
    """Height and width as it is to be seen, and how many frames there are."""
    what = shown(cell)
    with _opened(row, cell) as (container, stream):
        count = len(_places(row, what, container, stream))
        with _decoding(row, what):
            container.seek(0)
            frame = next(container.decode(stream), None)
            turned = frame is not None and round(frame.rotation / 90) % 2
            return (stream.width, stream.height, count) if turned else (stream.height, stream.width, count)


def sampled(total: int, count: int) -> np.ndarray:
    """Which ``count`` of ``total`` frames: the middle of each of so many equal stretches, or all."""
    return np.arange(total) if total <= count else ((np.arange(count) + 0.5) * total / count).astype(int)


def shown(cell: Any) -> str:
    """What people are told of a cell."""
    return cell if isinstance(cell, str) else "the video"


@contextlib.contextmanager
def _opened(row: Row, cell: str | bytes) -> Iterator[tuple[Any, Any]]:
    """The file with its header read and its size allowed, and the stream of its pictures."""
    import av

    what = shown(cell)
    file = io.BytesIO(cell) if isinstance(cell, bytes) else f"file:{os.path.abspath(row.path(cell))}"
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        container = av.open(file, container_options=options)
    except Exception:  # every kind of av.error.FFmpegError, and what Python's own reading raises
        raise row.bad(f"{what} is not a video that FFmpeg knows, or it is truncated") from None
    with container:
        streams = [s for s in container.streams.video if not int(s.disposition) & _ATTACHED]
        if not streams:
            raise row.bad(f"{what} holds no video")
        stream = streams[0]
        # Of a damaged file FFmpeg may know no decoder, without which there is no size to ask for.
        if stream.codec_context is None or not stream.width or not stream.height:
            raise row.bad(f"{what} does not tell how its pictures are written; it is truncated or damaged")
        if stream.width * stream.height > LARGEST:
            raise row.bad(f"{what} has {stream.width} x {stream.height} pixels, more than {LARGEST // 10**6} million")
        stream.codec_context.thread_count = 1  # files are decoded side by side already
        yield container, stream


@contextlib.contextmanager
def _decoding(row: Row, what: str) -> Iterator[None]:
    try:
        yield
    except BadRow:
        raise
    except Exception as error:  # every kind of av.error.FFmpegError, memory, and frames that are none
        reason = getattr(error, "strerror", None) or error
        raise row.bad(f"{what} is truncated or damaged ({reason})") from None


def _places(row: Row, what: str, container: Any, stream: Any) -> list[tuple[int | None, bool]]:
    """When each frame is to be shown and whether decoding can begin there, in the order of showing; not decoded yet."""
    found, begin, end = [], math.inf, 0.0
    with _decoding(row, what):
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                begin = min(begin, float(packet.pts * packet.time_base))
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index == stream.index and packet.size and not packet.is_discard:
                found.append((packet.pts, bool(packet.is_keyframe)))
                if len(found) > LONGEST:
                    raise row.bad(f"{what} has more than {LONGEST:,} frames")
    if not found:
        raise row.bad(f"{what} holds no frames; it is empty or truncated")
    if stream.frames > len(found):
        raise row.bad(f"{what} is truncated ({len(found):,} of {stream.frames:,} frames)")
    length = (container.duration or 0) / 1e6  # seconds, which some kinds tell in place of the number of frames
    frame = 1 / (stream.average_rate or 10)
    if not stream.frames and length - (end - begin) > 0.02 * length + 2.5 * frame:
        raise row.bad(f"{what} is truncated ({end - begin:.1f} of {length:.1f} s)")
    if any(pts is None for pts, _ in found) or len({pts for pts, _ in found}) < len(found):
        return [(None, False) for _ in found]
    return sorted(found)  # pyright: ignore[reportArgumentType]


def _picked(container: Any, stream: Any, places: list[tuple[int | None, bool]], wanted: np.ndarray) -> Iterator[Any]:
    """The wanted frames in order. What lies between them is jumped over where a frame to begin with stands."""
    container.seek(0)
    if places[0][0] is None:  # no times to go by: one frame after the other
        last = set(wanted.tolist())
        for i, frame in enumerate(container.decode(stream)):
            if i in last:
                yield frame
            if i >= wanted[-1]:
                return
        return
    decoder, at = container.decode(stream), -1  # the place of the last frame that was decoded
    indexed = container.format.name.startswith(("mov", "matroska"))  # others jump to some place nearby
    starts = [i for i, (_, key) in enumerate(places) if key and indexed]
    for i in wanted.tolist():
        begin = max((start for start in starts if start <= i), default=0)
        if begin > at + 1:
            container.seek(places[begin][0], stream=stream)
            decoder = container.decode(stream)
        frame = next((frame for frame in decoder if frame.pts is not None and frame.pts >= places[i][0]), None)
        if frame is None:
            return
        at = i
        yield frame


def _upright(frame: Any) -> np.ndarray:
    if frame.is_corrupt:
        raise ValueError("a frame is damaged")
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
