"""Documents to rows of one length: one after the other, or packed so that none is cut without need."""

import itertools
from collections.abc import Sequence

import numpy as np

from mmjax.data import packing


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
    rows = packing.best_fit(np.array([max(stop - start, 1) for _, start, stop in pieces]), room, len(pieces))
    numbers = iter(rows.numbers.tolist())
    return [[pieces[i] for i in itertools.islice(numbers, count)] for count in rows.counts.tolist()]
