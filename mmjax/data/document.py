"""Documents to rows of one length: one after the other, or packed so that none is cut without need."""

import itertools
import math
import os
from collections.abc import Iterator, Sequence

import numpy as np

from mmjax.core import UserError
from mmjax.data import packing

_PIECE = 1 << 22  # characters of a file that are read at once


def windows(count: int, length: int, stride: int) -> range:
    """Where each window of ``length`` + 1 of ``count`` ids begins, every ``stride`` ids.

    With a stride of ``length`` every id but the first is the last of exactly one pair in the windows.
    """
    last = max(count - 2, 0) if stride >= length else max(count - length - 1, 0)
    return range(0, last + 1, stride)


def read(path: str | os.PathLike[str], separator: str, part: tuple[float, float] = (0.0, 1.0)) -> Iterator[str]:
    """The documents of a part of a UTF-8 file, none of them empty, read as they are asked for.

    part: which share of its characters. With a ``separator`` no more than the longest document is held at once.
    Raises UserError where the file is not UTF-8.
    """
    try:
        pieces = _part(path, part)
        if not separator:
            pieces = iter(["".join(pieces)])
        rest = ""
        for piece in pieces:
            *whole, rest = (rest + piece).split(separator) if separator else (piece, "")
            yield from filter(None, whole)
        yield from filter(None, [rest])
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8") from None


def _part(path: str | os.PathLike[str], part: tuple[float, float]) -> Iterator[str]:
    """The characters of the part, in pieces."""
    first, last = 0, math.inf
    if part != (0.0, 1.0):  # characters have to be counted first: they are of one to four bytes
        count = sum(map(len, _pieces(path)))
        first, last = round(part[0] * count), round(part[1] * count)
    at = 0
    for piece in _pieces(path):
        if at + len(piece) > first and at < last:
            yield piece[max(first - at, 0) : min(last - at, len(piece))]  # pyright: ignore[reportArgumentType]
        at += len(piece)


def _pieces(path: str | os.PathLike[str]) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        while piece := file.read(_PIECE):
            yield piece


def packed(lengths: Sequence[int], room: int) -> list[list[tuple[int, int, int]]]:
    """Rows of pieces (document, start, stop): the longest first, each where it leaves the least room (best fit).

    A document of more than ``room`` ids is cut into pieces, each of which begins with the last id of the one before.
    """
    pieces = [
        (number, start, min(start + room, size))
        for number, size in enumerate(lengths)
        for start in range(0, max(size - 1, 1), room - 1)
    ]
    rows = packing.best_fit(np.array([max(stop - start, 1) for _, start, stop in pieces]), room, len(pieces))
    numbers = iter(rows.numbers.tolist())
    return [[pieces[i] for i in itertools.islice(numbers, count)] for count in rows.counts.tolist()]
