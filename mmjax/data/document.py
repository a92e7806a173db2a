"""Documents to rows of one length: one after the other, or packed so that none is cut without need."""

import bisect
from collections.abc import Sequence

import numpy as np


def windows(documents: Sequence[np.ndarray], length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """All ids as one array, and where each window of ``length`` + 1 begins, every ``stride`` ids.

    With a stride of ``length`` every id but the first is the last of exactly one pair in the windows.
    """
    ids = np.concatenate(documents)
    last = max(len(ids) - 2, 0) if stride >= length else max(len(ids) - length - 1, 0)
    return ids, np.arange(0, last + 1, stride)


def packed(lengths: Sequence[int], room: int) -> list[list[tuple[int, int, int]]]:
    """Rows of pieces (document, start, stop): the longest first, each where it leaves the least room (best fit).

    A document of more than ``room`` ids is cut into pieces, each of which begins with the last id of the one before.
    """
    pieces = [
        (number, start, min(start + room, size))
        for number, size in enumerate(lengths)
        for start in range(0, max(size - 1, 1), room - 1)
    ]
    rows: list[list[tuple[int, int, int]]] = []
    open_rows: dict[int, list[int]] = {}  # rows by the room that they have left
    rooms: list[int] = []  # of which there are any, in order
    for piece in sorted(pieces, key=lambda piece: piece[1] - piece[2]):
        size = piece[2] - piece[1]
        at = bisect.bisect_left(rooms, size)
        if at < len(rooms):
            left = rooms[at]
            row = open_rows[left].pop()
            if not open_rows[left]:
                del rooms[at]
        else:
            left, row = room, len(rows)
            rows.append([])
        rows[row].append(piece)
        left -= size
        if left:
            if not open_rows.setdefault(left, []):
                bisect.insort(rooms, left)
            open_rows[left].append(row)
    return rows
