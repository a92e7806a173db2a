"""Examples of uneven length into rows of equal length, so that little of a row is padding."""

import dataclasses

import numpy as np

_WINDOW = 10_000  # examples of several modalities that are dealt out together
_STEEP = 8.0  # how much more a fuller modality of a row counts


@dataclasses.dataclass(frozen=True)
class Rows:
    """``numbers`` of examples, one row after the other, and how many of them each row has."""

    numbers: np.ndarray
    counts: np.ndarray


def packed(lengths: np.ndarray, room: np.ndarray, most: int) -> Rows:
    """Every example in some row: lengths ``n m``, of which a row has ``room`` ``m``, and at most ``most`` examples.

    An example may have nothing of a modality, but none has more than a row.
    """
    if lengths.shape[1] == 1:
        return best_fit(np.maximum(lengths[:, 0], 1), int(room[0]), most)
    parts = []
    count = max(1, -(-len(lengths) // _WINDOW))
    for part in np.array_split(np.arange(len(lengths)), count):
        rows = dealt(lengths[part] / room, most)
        parts.append(Rows(part[rows.numbers], rows.counts))
    return Rows(np.concatenate([part.numbers for part in parts]), np.concatenate([part.counts for part in parts]))


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


def dealt(shares: np.ndarray, most: int) -> Rows:
    """Examples of several modalities, ``n m`` in shares of a row, dealt out evenly to as few rows as will do.

    The largest come first, each to the row whose fullest modality it fills least; where one finds no place, all are
    dealt again to a few rows more.
    """
    least = int(np.ceil(max(shares.sum(axis=0).max(), len(shares) / most, 1)))
    order = np.argsort(-shares.max(axis=1), kind="stable")
    rows = least
    while True:
        found = _dealt(shares, order, rows, most)
        if found is not None:
            break
        rows += max(1, rows // 200)
    numbers = np.argsort(found, kind="stable")
    counts = np.bincount(found, minlength=rows)
    return Rows(numbers, counts[counts > 0])


def _dealt(shares: np.ndarray, order: np.ndarray, rows: int, most: int) -> np.ndarray | None:
    """The row of each example, None where one finds no place."""
    full, counts = np.zeros((rows, shares.shape[1])), np.zeros(rows, np.int64)
    weight = np.exp(_STEEP * full)
    found = np.empty(len(shares), np.int64)
    for i in order:
        share = shares[i]
        fits = (full + share <= 1 + 1e-9).all(axis=1) & (counts < most)
        cost = np.where(fits, weight @ np.expm1(_STEEP * share), np.inf)
        row = int(np.argmin(cost))
        if not fits[row]:
            return None
        found[i] = row
        full[row] += share
        weight[row] = np.exp(_STEEP * full[row])
        counts[row] += 1
    return found
