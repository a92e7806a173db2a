"""Examples of several modalities dealt out to rows, so that each row is about full of each modality.

That is packing of bins in several dimensions. A row holds tens of examples, so there are many ways to fill it, and what
decides is not which example goes first but that no row has more of anything than the others. So examples are dealt out
roughly, and then pairs of rows swap one example for another, all pairs at once, until they are level.

All is counted in whole parts of a row, of which floats of 64 bits lose none, in whatever order a processor adds them
up: every machine deals alike.
"""

import numpy as np

_PARTS = 1 << 16  # of a row
_SPARE = 0.0042  # of all rows, beyond those that hold everything if they are full to the brim
_TURNS, _MENDS = 15, 150  # in which rows become level, and in which those that are too full are mended
_OFFERS, _ASKED = 24, 64  # rows of which one that is too full looks for the best, and pairs in a turn at least
_HOPE, _HALF, _TAIL = 10, 0.6, 0.1  # after so many turns at most this share of rows is too full, and in the end
_FEW = 2000  # one row of so many may stay too full: it gives one example to a row more
_SEEN = 48  # examples of a row at most that are looked at in a turn
_CHUNK = 128  # pairs of rows at a time, so that what they compare stays in the cache
_WEIGHT = 64  # the most that a modality counts, which it does
_NARROW = 128  # where a pair of rows has so few parts of it to spare


def dealt(lengths: np.ndarray, room: np.ndarray, most: int) -> np.ndarray | None:
    """The row of each example, from 0 on: lengths ``n m``, of which a row has ``room`` ``m``, and at most ``most``.

    -1 is for the few that find no place. None where rows do not become level, since each holds too few examples. No
    example is longer than a row. The same for the same lengths.
    """
    full = float((lengths.sum(axis=0) / room).max())
    count = max(int(np.ceil(full)), round(full * (1 + _SPARE)), -(-len(lengths) // most), 1)
    table = _Table(lengths, room, count, most)
    rng = np.random.default_rng(0)
    for _ in range(_TURNS):
        table.level(rng)
    for turn in range(_MENDS):
        if turn == _HOPE and table.too_full > _HALF:
            return None
        if not table.mend(rng):
            break
    return table.found() if table.too_full <= _TAIL else None


class _Table:
    """Rows of examples, and how much of each modality they have beyond their room."""

    def __init__(self, lengths: np.ndarray, room: np.ndarray, count: int, most: int):
        self._lengths, self._room = lengths, room
        parts = np.rint(lengths * (_PARTS / room))
        rows, fill = _roughly(parts, count, most)
        counts = np.bincount(rows, minlength=count)
        order, first = np.argsort(rows, kind="stable"), np.cumsum(counts) - counts
        # Empty places hold the number after the last, of an example that has nothing of anything.
        self._numbers = np.full((count, min(most, int(counts.max()) + 1)), len(parts))
        self._numbers[rows[order], np.arange(len(parts)) - first[rows[order]]] = order
        parts = np.concatenate([parts, np.zeros((1, parts.shape[1]))])
        self._parts = np.ascontiguousarray(parts[self._numbers].transpose(0, 2, 1))  # rows modalities places
        self._over = fill - _PARTS
        self._weights = _weights(-self._over.sum(axis=0) // count)

    @property
    def too_full(self) -> float:
        """The share of rows that are."""
        return float((self._over > 0).any(axis=1).mean())

    def level(self, rng: np.random.Generator) -> None:
        """Every row swaps with another that has much of what it has little of."""
        along = rng.integers(-_WEIGHT, _WEIGHT + 1, len(self._weights)) * self._weights
        order, half = np.argsort((self._over * along).sum(axis=1), kind="stable"), len(self._over) // 2
        pairs = np.stack([order[:half], order[::-1][:half]])
        self._swap(pairs, *self._best(pairs, np.broadcast_to(self._weights, (half, len(self._weights))), rng))

    def mend(self, rng: np.random.Generator) -> bool:
        """Rows that are too full swap with others, where both together gain by it. False where few are left."""
        full = np.flatnonzero((self._over > 0).any(axis=1))
        if len(full) <= len(self._over) // _FEW:
            return False
        pairs, spare = self._partners(full, -(-_ASKED // len(full)), rng)
        i, j, moved = self._best(pairs, _weights(spare), rng)
        one, other = pairs
        gain = _excess(self._over[one]) + _excess(self._over[other])
        gain -= _excess(self._over[one] - moved) + _excess(self._over[other] + moved)
        best = np.argsort(-gain, kind="stable")
        best = best[gain[best] > 0]
        turn = np.full(len(self._over), len(best))  # when a row comes first: it can be in one pair alone
        for side in pairs[:, best]:
            np.minimum.at(turn, side, np.arange(len(best)))
        chosen = best[(turn[pairs[:, best]] == np.arange(len(best))).all(axis=0)]
        self._swap(pairs[:, chosen], i[chosen], j[chosen], moved[chosen])
        return True

    def _partners(self, rows: np.ndarray, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pairs ``2 p`` of these rows, each in so many, with others that suit them, and what both have to spare."""
        offers = rng.integers(0, len(self._over), (len(rows), max(_OFFERS, each)))
        spare = np.maximum(-(self._over[rows][:, None] + self._over[offers]) / 2, 1)
        ways = np.where(offers == rows[:, None], 0.0, 1.0)  # as many as there are places in what both have to spare
        for modality in range(spare.shape[2]):
            ways = ways * (spare[..., modality] / _PARTS)
        chosen = ways.argmax(axis=1)[:, None] if each == 1 else np.argsort(-ways, axis=1, kind="stable")[:, :each]
        row = np.arange(len(rows))[:, None]
        pairs = np.stack([np.repeat(rows, each), offers[row, chosen].reshape(-1)])
        apart = pairs[0] != pairs[1]
        return pairs[:, apart], spare[row, chosen].reshape(-1, spare.shape[2])[apart]

    def _best(
        self, pairs: np.ndarray, weights: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each pair, the places whose examples to swap so that both are most alike, and what goes over by it."""
        places = self._numbers.shape[1]
        seen = np.arange(places) if places <= _SEEN else rng.permutation(places)[:_SEEN]
        nearest = _Nearest(min(_CHUNK, pairs.shape[1]), self._over.shape[1], len(seen))
        found = np.empty((2, pairs.shape[1]), np.int64)
        for start in range(0, pairs.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            ours, theirs = (
                self._parts[rows] if places <= _SEEN else self._parts[rows][..., seen] for rows in pairs[:, part]
            )
            one, other = self._over[pairs[:, part]]
            found[:, part] = nearest(ours, theirs, (one - other) / 2, weights[part])
        i, j = seen[found]
        return i, j, self._parts[pairs[0], :, i] - self._parts[pairs[1], :, j]

    def _swap(self, pairs: np.ndarray, i: np.ndarray, j: np.ndarray, moved: np.ndarray) -> None:
        """Place ``i`` of the first of each pair for place ``j`` of the second."""
        one, other = pairs
        self._over[one] -= moved
        self._over[other] += moved
        numbers, parts = self._numbers, self._parts
        numbers[one, i], numbers[other, j] = numbers[other, j], numbers[one, i]
        parts[one, :, i], parts[other, :, j] = parts[other, :, j], parts[one, :, i]

    def found(self) -> np.ndarray:
        """The row of each example, -1 of those that had to leave a row that was too full."""
        found = np.full(len(self._lengths) + 1, -1, np.int64)
        found[self._numbers] = np.arange(len(self._numbers))[:, None]
        found = found[:-1]
        lengths = np.concatenate([self._lengths, np.zeros((1, len(self._room)), self._lengths.dtype)])
        over = lengths[self._numbers].sum(axis=1) - self._room
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
    """A row for each example, the largest first, and how much the rows have.

    By turns the emptier half of the rows take one each, of which the row with least of a modality takes that with most.
    """
    order = np.argsort(-parts.sum(axis=1), kind="stable")
    fill, counts = np.zeros((count, parts.shape[1])), np.zeros(count, np.int64)
    rows, done = np.empty(len(parts), np.int64), 0
    while done < len(order):
        free = np.flatnonzero(counts < most)
        size = min(max(1, count // 2), len(order) - done, len(free))
        emptiest = free[np.argsort(fill[free].sum(axis=1), kind="stable")[:size]]
        numbers, held = order[done : done + size], fill[emptiest]
        uneven = int(np.ptp(held, axis=0).argmax())
        taking = emptiest[np.argsort(held[:, uneven], kind="stable")]
        numbers = numbers[np.argsort(-parts[numbers, uneven], kind="stable")]
        rows[numbers] = taking
        fill[taking] += parts[numbers]
        counts[taking] += 1
        done += size
    return rows, fill


def _weights(spare: np.ndarray) -> np.ndarray:
    """How much each modality counts where there are so many parts of it to spare."""
    return np.maximum(np.rint(_WEIGHT * _NARROW / np.maximum(spare, _NARROW)), 1)


def _excess(over: np.ndarray) -> np.ndarray:
    """How much too full rows are, over all modalities."""
    over = np.maximum(over, 0)
    return np.einsum("rm,rm->r", over, over)


class _Nearest:
    """Of the examples of two rows the two whose difference is nearest to one that is wanted, for many pairs of rows.

    One product gives the squares of all distances; what it is of and what it gives lie in the same memory every time.
    """

    def __init__(self, pairs: int, modalities: int, places: int):
        self._left, self._right = np.ones((2, pairs, modalities + 2, places))
        self._squares = np.empty((pairs, places, places))

    def __call__(self, ours: np.ndarray, theirs: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Places ``2 p`` in ours and theirs, ``p m k``, for differences ``p m`` of which modalities have weights."""
        pairs, _, places = ours.shape
        left, right, squares = self._left[:pairs], self._right[:pairs], self._squares[:pairs]
        own, other = left[:, :-2], right[:, :-2]
        np.subtract(ours, wanted[..., None], out=own)
        own *= weights[..., None]
        np.multiply(theirs, weights[..., None], out=other)
        np.einsum("pmk,pmk->pk", own, own, out=left[:, -2])
        np.einsum("pmk,pmk->pk", other, other, out=right[:, -1])
        other *= -2
        np.matmul(left.transpose(0, 2, 1), right, out=squares)
        return np.stack(np.divmod(squares.reshape(pairs, -1).argmin(axis=1), places))
