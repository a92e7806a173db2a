"""Examples of several modalities dealt out to rows, so that each row is about full of each modality.

That is packing of bins in several dimensions. A row holds tens of examples, so there are many ways to fill it, and what
decides is not which example goes first but that no row has more of anything than the others. So examples are dealt out
roughly, and then pairs of rows swap one example for another, many pairs at once, until they are level.

Which swaps suit is looked up instead of tried out. After a swap two rows are alike if an example of the one, less half
of what that row is over, is as long as an example of the other, less half of what that is over. So of all examples,
less these halves, those that lie in the same cell of a grid suit one another, whichever rows they are in.

All is counted in whole parts of a row, of which floats lose none when they are added up, and what else there is of
floats is worked out number by number: every processor deals alike. What is drawn at random may change with numpy's
version, as the order of examples may.
"""

from collections.abc import Callable

import numpy as np

_PARTS = 1 << 16  # of a row
_SPARES = (0.0042, 0.012)  # of all rows, beyond those that hold everything if they are full to the brim: what is tried
_TURNS, _LEVEL = 6, 0.15  # in which rows become level, unless no more than this share of them is too full
_MENDS, _HOPE, _HALF = 40, 10, 0.6  # turns of mending, and after how many at most this share of rows is too full
_TAIL = 0.1  # the same in the end
_FEW = 2000  # one row of so many may stay too full: it gives one example to a row more
_SEEN = 48  # examples of a row at most that are looked at in a turn
_SWAPS = 8_000  # that are weighed in a turn at least
_CELLS = (1 << 16) - 1  # of a grid at most: their numbers have 16 bits, and such are quickly sorted
_CROWD, _TRIES = 3, 32  # examples that a cell has for one of a row, and at most of which it tries each
_OFFERS, _POOL = 8, 256  # rows that are asked for each one that is too full, and in all at least
_ROUNDS = 3  # in which rows that want the same other one choose
_NARROW = 128  # parts to spare: where a modality has fewer, it counts no more

Gain = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def dealt(lengths: np.ndarray, room: np.ndarray, most: int) -> np.ndarray | None:
    """The row of each example, from 0 on: lengths ``n m``, of which a row has ``room`` ``m``, and at most ``most``.

    -1 is for the few that find no place. None where rows do not become level, since each holds too few examples. No
    example is longer than a row. The same for the same lengths.
    """
    full = float((lengths.sum(axis=0) / room).max())
    least = max(int(np.ceil(full)), -(-len(lengths) // most), 1)
    for spare in _SPARES:
        count = max(least, round(full * (1 + spare)))
        table = _Table(lengths, room, count, most)
        if _levelled(table, np.random.default_rng(0)):
            return table.found()
        least = count + 1
    return None


def _levelled(table: "_Table", rng: np.random.Generator) -> bool:
    """Whether swaps left few rows of a table too full."""
    for _ in range(_TURNS):
        if table.too_full > _LEVEL:
            table.level(rng)
    for turn in range(_MENDS):
        if turn == _HOPE and table.too_full > _HALF:
            return False
        if not table.mend(rng):
            break
    return table.too_full <= _TAIL


class _Table:
    """Rows of examples, and how much of each modality they have beyond their room."""

    def __init__(self, lengths: np.ndarray, room: np.ndarray, count: int, most: int):
        self._lengths, self._room = lengths, room
        parts = np.zeros((len(room), len(lengths) + 1))
        parts[:, :-1] = np.rint(lengths * (_PARTS / room)).T
        rows, fill = _roughly(parts[:, :-1], count, most)
        counts = np.bincount(rows, minlength=count)
        order, first = np.argsort(rows.astype(np.min_scalar_type(count)), kind="stable"), np.cumsum(counts) - counts
        # Empty places hold the number after the last, of an example that has nothing of anything.
        self._numbers = np.full((count, min(most, int(counts.max()) + 1)), len(lengths))
        self._numbers[rows[order], np.arange(len(lengths)) - first[rows[order]]] = order
        self._parts = parts.astype(np.float32).take(self._numbers, axis=1)  # modalities rows places
        self._over = fill - _PARTS
        self._longest = np.maximum(parts.max(axis=1), 1)
        self._spare = np.maximum(-self._over.sum(axis=1) // count, _NARROW)

    @property
    def too_full(self) -> float:
        """The share of rows that are."""
        return float((self._over > 0).any(axis=0).mean())

    def level(self, rng: np.random.Generator) -> None:
        """Rows of one half swap with those of the other, so that both are more like all."""
        rows, half = rng.permutation(self._over.shape[1]), self._over.shape[1] // 2
        weights = (1 / np.square(self._spare)).astype(np.float32)

        def evener(modality: int, one: np.ndarray, other: np.ndarray, moved: np.ndarray) -> np.ndarray:
            return weights[modality] * moved * (one - other - moved)

        self._trade(rows[:half], rows[half:], evener, rng)

    def mend(self, rng: np.random.Generator) -> bool:
        """Rows that are too full swap with others, where both together gain by it. False where few are left."""
        full = self._over.max(axis=0) > 0
        rows, others = rng.permutation(np.flatnonzero(full)), rng.permutation(np.flatnonzero(~full))
        if len(rows) <= len(full) // _FEW:
            return False
        rows = rows[: max(len(others) // 2, 1)]
        if not self._trade(rows, others[: max(_OFFERS * len(rows), _POOL)], _relief, rng):
            self.level(rng)  # no swap helps, so others are made to
        return True

    def _trade(self, rows: np.ndarray, others: np.ndarray, gain: Gain, rng: np.random.Generator) -> bool:
        """Rows swap an example each for one of another row, as long as it gains anything. False where none does."""
        if not len(rows) or not len(others):
            return False
        seen = np.arange(self._numbers.shape[1])
        if len(seen) > _SEEN:
            seen = rng.permutation(seen)[:_SEEN]
        tries = min(max(1, _SWAPS // (len(rows) * len(seen))), _TRIES)
        found, there = self._suiting(rows, others, seen, tries, rng)
        other, j = np.divmod(found, len(seen))
        other, j = others[other], seen[j]
        gains = self._gains((rows[:, None, None], seen[:, None]), (other, j), gain)
        gains = np.where(there, gains, -1).reshape(len(rows), -1)
        other, j = other.reshape(gains.shape), j.reshape(gains.shape)
        k, swap = _chosen(gains, other, self._over.shape[1])
        self._swap(rows[k], seen[swap // tries], other[k, swap], j[k, swap])
        return len(k) > 0

    def _suiting(
        self, rows: np.ndarray, others: np.ndarray, seen: np.ndarray, tries: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """For each example of the rows some of the others' that suit it, ``r k tries``, and where there are so many."""
        levels = _grid(self._longest / self._spare, len(others) * len(seen) / max(_CROWD, tries))
        shift = (rng.random(len(levels)) - 0.5) * self._longest / levels  # so that other neighbours meet every turn
        cells, own = (self._cells(some, seen, levels, shift) for some in (others, rows))
        cells, own = cells.reshape(-1), own[..., None]
        order, counts = np.argsort(cells, kind="stable"), np.bincount(cells, minlength=int(levels.prod()))
        first, crowd = (np.cumsum(counts) - counts)[own], counts[own]
        which = (rng.integers(0, _CELLS, own.shape) + np.arange(tries)) % np.maximum(crowd, 1)
        return order[np.minimum(first + which, len(order) - 1)], crowd > np.arange(tries)

    def _cells(self, rows: np.ndarray, seen: np.ndarray, levels: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """The cell ``r k`` of each example of these rows, less half of what its row is over."""
        cells = np.zeros((len(rows), len(seen)), np.uint16)
        less = (self._over[:, rows] / 2 - shift[:, None]).astype(np.float32)
        scale = (levels / self._longest).astype(np.float32)
        for modality, level in enumerate(levels):
            parts = self._parts[modality, rows]
            at = (parts if len(seen) == parts.shape[1] else parts[:, seen]) - less[modality, :, None]
            at *= scale[modality]
            np.clip(at, 0, level - 1, out=at)
            cells *= np.uint16(level)
            cells += at.astype(np.uint16)
        return cells

    def _gains(
        self, ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray], gain: Gain
    ) -> np.ndarray:
        """What swaps gain, of rows and places for others, over all modalities."""
        total = np.zeros(theirs[0].shape, np.float32)
        for modality, (parts, over) in enumerate(zip(self._parts, self._over.astype(np.float32), strict=True)):
            total += gain(modality, over[ours[0]], over[theirs[0]], parts[ours] - parts[theirs])
        return total

    def _swap(self, one: np.ndarray, i: np.ndarray, other: np.ndarray, j: np.ndarray) -> None:
        """Place ``i`` of the first of each pair for place ``j`` of the second."""
        numbers, parts = self._numbers, self._parts
        moved = parts[:, one, i] - parts[:, other, j]
        self._over[:, one] -= moved
        self._over[:, other] += moved
        numbers[one, i], numbers[other, j] = numbers[other, j], numbers[one, i]
        parts[:, one, i], parts[:, other, j] = parts[:, other, j], parts[:, one, i]

    def found(self) -> np.ndarray:
        """The row of each example, -1 of those that had to leave a row that was too full."""
        found = np.full(len(self._lengths) + 1, -1, np.int64)
        found[self._numbers] = np.arange(len(self._numbers))[:, None]
        found = found[:-1]
        lengths = np.concatenate([self._lengths, np.zeros((1, len(self._room)), self._lengths.dtype)])
        used = [own[self._numbers].sum(axis=1) for own in np.ascontiguousarray(lengths.T)]
        over = np.stack(used, axis=1) - self._room
        for row in np.flatnonzero((over > 0).any(axis=1)):
            numbers, much = self._numbers[row], over[row]
            while (much > 0).any():
                after = np.maximum(much - lengths[numbers], 0) / self._room  # what is too much without each of them
                size = (lengths[numbers] / self._room).sum(axis=1)
                gone = np.lexsort((size, after.sum(axis=1)))[0]  # the smallest of those that help most
                found[numbers[gone]], much = -1, much - lengths[numbers[gone]]
                numbers = np.delete(numbers, gone)
        return found


def _roughly(parts: np.ndarray, count: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """A row for each example of parts ``m n``, the largest first, and how much ``m count`` the rows have.

    By turns the emptier half of the rows take one each, of which the row with least of a modality takes that with most.
    """
    order = _ranked(-parts.sum(axis=0))
    parts = parts[:, order]
    fill, counts = np.zeros((len(parts), count)), np.zeros(count, np.int64)
    rows, done = np.empty(len(order), np.int64), 0
    while done < len(order):
        free = np.flatnonzero(counts < most)
        size = min(max(1, count // 2), len(order) - done, len(free))
        emptiest = free[_ranked(fill.sum(axis=0)[free])[:size]]
        own, held = parts[:, done : done + size], fill[:, emptiest]
        uneven = int(np.ptp(held, axis=1).argmax())
        taking, numbers = _ranked(held[uneven]), _ranked(-own[uneven])
        rows[order[done + numbers]] = emptiest[taking]
        fill[:, emptiest[taking]] = held[:, taking] + own[:, numbers]
        counts[emptiest] += 1
        done += size
    return rows, fill


def _ranked(values: np.ndarray) -> np.ndarray:
    """The order from the least to the greatest, by 16 bits of each: these are sorted at a tenth of the cost."""
    low, high = values.min(), values.max()
    return np.argsort(((values - low) * (65535 / max(high - low, 1))).astype(np.uint16), kind="stable")


def _grid(reach: np.ndarray, cells: float) -> np.ndarray:
    """Into how many levels each modality is cut: the more, the farther lengths reach beside what is to spare."""
    levels = np.ones(len(reach))
    while True:
        finer = levels.copy()
        coarsest = (reach / levels).argmax()
        finer[coarsest] += 1 + levels[coarsest] // 16
        if finer.prod() > min(cells, _CELLS):
            return levels
        levels = finer


def _chosen(gains: np.ndarray, other: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and which of its swaps each makes, if any gains: no two with the same other row, and the best first."""
    left, found, taken = np.arange(len(gains)), [], np.zeros(count, bool)
    for _ in range(_ROUNDS):
        at = gains[left].argmax(axis=1)
        best = gains[left, at]
        order = np.argsort(-best, kind="stable")
        order = order[best[order] > 0]
        left, at = left[order], at[order]
        wanted = other[left, at]
        first = np.zeros(len(left), bool)
        first[np.unique(wanted, return_index=True)[1]] = True
        found.append((left[first], at[first]))
        taken[wanted] = True
        left = left[~first]
        gains[left] = np.where(taken[other[left]], -1, gains[left])
    rows, swaps = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, swaps


def _relief(modality: int, one: np.ndarray, other: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """How much less too full rows are after a swap."""
    return _excess(one) + _excess(other) - _excess(one - moved) - _excess(other + moved)


def _excess(over: np.ndarray) -> np.ndarray:
    """How bad it is to be over by so much."""
    return np.square(np.maximum(over, 0))
