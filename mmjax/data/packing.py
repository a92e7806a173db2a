"""Examples of uneven length into rows of equal length, so that little of a row is padding."""

import dataclasses

import numpy as np

from mmjax.data import deal

_WINDOW = 10_000  # examples that are dealt out together one by one
_GOOD = 1.01  # of the rows that there must be; where levelling rows gives more, dealing one by one is tried too
_STEEP, _SQUARES = 8.0, 16  # how much more a fuller modality of a row counts, and how often that power is squared
# What an empty row's modality weighs, and at most an example: a full one weighs less than 1 << 28, so that sums of
# weights times worths are whole numbers of 53 bits.
_EMPTY, _WORTH = 1 << 16, 1 << 24


@dataclasses.dataclass(frozen=True)
class Rows:
    """``numbers`` of examples, one row after the other, and how many of them each row has."""

    numbers: np.ndarray
    counts: np.ndarray


def packed(lengths: np.ndarray, room: np.ndarray, most: int) -> Rows:
    """Every example in some row: lengths ``n m``, of which a row has ``room`` ``m``, and at most ``most`` examples.

    An example may have nothing of a modality, but none has more than a row. The same for the same lengths.
    """
    if lengths.shape[1] == 1:
        return best_fit(np.maximum(lengths[:, 0], 1), int(room[0]), most)
    found = deal.dealt(lengths, room, most)
    if found is not None:
        found = _filled(found, lengths, room, most)
    least = int(np.ceil(max(float((lengths.sum(axis=0) / room).max()), len(lengths) / most, 1)))
    if found is None or found.max() >= int(_GOOD * least):
        other = _filled(np.full(len(lengths), -1), lengths, room, most)
        found = other if found is None or other.max() < found.max() else found
    counts = np.bincount(found)
    few = found.astype(np.min_scalar_type(len(counts)))  # numbers of 16 bits are sorted at a tenth of the cost
    return Rows(np.argsort(few, kind="stable"), counts[counts > 0])


def _filled(found: np.ndarray, lengths: np.ndarray, room: np.ndarray, most: int) -> np.ndarray:
    """The rows that were found, and for those that have none, -1, further ones."""
    left, rows = np.flatnonzero(found < 0), int(found.max()) + 1
    for part in np.array_split(left, -(-len(left) // _WINDOW) or 1):
        found[part] = dealt(lengths[part], room, most) + rows
        rows = int(found.max()) + 1
    return found


def best_fit(lengths: np.ndarray, room: int, most: int) -> Rows:
    """Best fit, longest first (Johnson et al., 1974, https://doi.org/10.1137/0203025), over lengths and not examples.

    All rows that are alike are filled together, so the work grows with the number of different lengths; which of
    the examples of a length goes where is settled at the end.
    """
    found: list[tuple[int, list[int]]] = []  # how many rows, and the lengths in each
    open_: dict[int, list[tuple[int, list[int]]]] = {}  # the same by the space that is left
    spaces = 0  # bit s is set where rows with space s are open

    def keep(count: int, space: int, row: list[int], least: int) -> None:
        nonlocal spaces
        if not count:
            return
        if len(row) == most or space < least:
            found.append((count, row))
        else:
            open_.setdefault(space, []).append((count, row))
            spaces |= 1 << space

    values, counts = np.unique(lengths, return_counts=True)
    least = int(values[0])
    for length, left in zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True):
        while left:
            fitting = spaces >> length
            if fitting:
                space = length + (fitting & -fitting).bit_length() - 1
                rows, row = open_[space].pop()
                if not open_[space]:
                    del open_[space]
                    spaces &= ~(1 << space)
            else:
                space, rows, row = room, len(lengths), []
            each = min(space // length, most - len(row))
            whole = min(rows, left // each)
            left -= whole * each
            keep(whole, space - each * length, row + [length] * each, least)
            rows -= whole
            if rows and left:  # fewer than one more row takes
                keep(1, space - left * length, row + [length] * left, least)
                rows, left = rows - 1, 0
            if row:
                keep(rows, space, row, least)
    found += [group for groups in open_.values() for group in groups]
    return _settled(lengths, found)


def _settled(lengths: np.ndarray, found: list[tuple[int, list[int]]]) -> Rows:
    """Patterns of lengths with an example in every place."""
    counts = np.repeat([len(row) for _, row in found], [count for count, _ in found])
    places = np.concatenate([np.tile(np.asarray(row, lengths.dtype), count) for count, row in found])
    numbers = np.empty(len(lengths), np.int64)
    numbers[np.argsort(places, kind="stable")] = np.argsort(lengths, kind="stable")
    return Rows(numbers, counts)


def dealt(lengths: np.ndarray, room: np.ndarray, most: int) -> np.ndarray:
    """Examples of several modalities, ``n m``, dealt out evenly to about as few rows of ``room`` ``m`` as will do.

    The largest come first, each to the row whose fullest modality it fills least. Those that find no place in the
    rows that all need at least are dealt to rows of their own. The row of each is given, from 0 on.
    """
    order = np.argsort(-(lengths / room).max(axis=1), kind="stable")
    found, rows = np.empty(len(lengths), np.int64), 0
    while len(order):
        full = float((lengths[order].sum(axis=0) / room).max())
        least = max(int(np.ceil(full)), -(-len(order) // most), 1)
        own = _dealt(lengths[order], room, least, most)
        found[order] = own + rows
        order, rows = order[own < 0], rows + least
    return found


def _dealt(lengths: np.ndarray, room: np.ndarray, rows: int, most: int) -> np.ndarray:
    """The row of each example, -1 where it finds no place."""
    space, counts = np.repeat(room[:, None], rows, axis=1), [0] * rows
    whole = np.full(space.shape, float(_EMPTY))  # weights in whole numbers: every processor adds products up otherwise
    weights = list(whole.T.copy())  # of each row: the power of what is filled
    steps, found = _power(lengths / room), np.full(len(lengths), -1, np.int64)
    for i, (length, step, worth) in enumerate(zip(lengths, steps, _worths(steps), strict=True)):
        cost = worth.dot(whole)
        row = int(cost.argmin())
        left = space[:, row] - length
        if min(left.tolist()) < 0:  # which is rare, so only now all are looked at
            fits = (space >= length[:, None]).all(axis=0)
            row = int(np.where(fits, cost, np.inf).argmin())
            if not fits[row]:
                continue
            left = space[:, row] - length
        found[i] = row
        counts[row] += 1
        space[:, row] = left if counts[row] < most else -1
        weights[row] = weights[row] * step
        whole[:, row] = np.rint(weights[row])
    return found


def _power(shares: np.ndarray) -> np.ndarray:
    """About ``exp(_STEEP * shares)``, and never more, out of products: these are the same on every processor."""
    power = 1 + shares * (_STEEP / (1 << _SQUARES))
    for _ in range(_SQUARES):
        power = np.square(power)
    return power


def _worths(steps: np.ndarray) -> np.ndarray:
    """How much an example adds to each modality's weight, in whole numbers that are at most ``_WORTH`` together."""
    worths = steps - 1
    greatest = worths.max(axis=1, keepdims=True)
    return np.rint(worths * (_WORTH // steps.shape[1] / np.where(greatest > 0, greatest, 1)))
