"""Which examples stand at which place of an endless stream: a function of the seed and the place alone.

Nothing is counted up on the way, so any process can say what stands at any place, and a run goes on from a number.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from mmjax.core import UserError

BLOCK = 10_000  # places in which a mixture has its exact shares


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What stands at some places: ``numbers`` of examples, one place after the other, and how many each place has."""

    numbers: np.ndarray
    counts: np.ndarray


class Order(Protocol):
    """Places of a stream to the examples that stand there."""

    def __call__(self, places: np.ndarray) -> Drawn: ...


class Shuffled:
    """One example a place, all of them in every epoch, each time in another order.

    key: tells this order from others of the same seed.
    """

    def __init__(self, count: int, seed: int, key: tuple[int, ...] = ()):
        self._count, self._seed, self.key = count, seed, key
        self._permutations = _Recent(self._permutation)

    def __call__(self, places: np.ndarray) -> Drawn:
        epochs, offsets = np.divmod(places, self._count)
        numbers = np.empty_like(places)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            numbers[chosen] = self._permutations(int(epoch))[offsets[chosen]]
        return Drawn(numbers, np.ones(len(places), np.int64))

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, *self.key, epoch)).permutation(self._count)


class Packed:
    """A packed row a place, all rows in every epoch, each time in another order.

    ``numbers`` and ``counts`` are how the examples were packed once; in every epoch examples of one ``kind`` (of equal
    length) change places, so that what shares a row changes too, and nothing has to be packed again.
    """

    def __init__(self, numbers: np.ndarray, counts: np.ndarray, kinds: np.ndarray, seed: int):
        self._numbers, self._counts, self._kinds, self._seed = numbers, counts, kinds, seed
        self._starts = np.cumsum(counts) - counts
        self._by_kind = np.argsort(kinds, kind="stable")
        self.key: tuple[int, ...] = ()
        self._epochs = _Recent(self._epoch)

    def __len__(self) -> int:
        return len(self._counts)

    def __call__(self, places: np.ndarray) -> Drawn:
        epochs, offsets = np.divmod(places, len(self))
        numbers, counts = [], np.empty(len(places), np.int64)
        for i, (epoch, offset) in enumerate(zip(epochs.tolist(), offsets.tolist(), strict=True)):
            rows, members = self._epochs(epoch)
            start, counts[i] = self._starts[rows[offset]], self._counts[rows[offset]]
            numbers.append(members[start : start + counts[i]])
        return Drawn(np.concatenate(numbers), counts)

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The order of the rows, and the examples in their places."""
        rng = np.random.default_rng((self._seed, 3, *self.key, epoch))
        shuffled = rng.permutation(len(self._kinds))
        other = np.empty_like(self._numbers)
        other[self._by_kind] = shuffled[np.argsort(self._kinds[shuffled], kind="stable")]
        return rng.permutation(len(self)), other[self._numbers]


class Mixed:
    """Several orders in fixed shares, each going on at its own pace.

    ``orders`` come with the number that the first example of each has in the whole. Every ``BLOCK`` places hold each
    order as often as its weight says, shuffled; weights are kept to 1 in ``BLOCK``.
    """

    def __init__(self, orders: Sequence[tuple[Order, int]], weights: Sequence[float], seed: int):
        self._orders = list(orders)
        self._each = shares(weights)
        self._seed = seed
        self._blocks = _Recent(self._block)

    def __call__(self, places: np.ndarray) -> Drawn:
        blocks, offsets = np.divmod(places, BLOCK)
        which, index = np.empty_like(places), np.empty_like(places)
        for block in np.unique(blocks):
            chosen = blocks == block
            parts, ranks = self._blocks(int(block))
            which[chosen] = parts[offsets[chosen]]
            index[chosen] = block * self._each[parts[offsets[chosen]]] + ranks[offsets[chosen]]
        return _merged(which, {i: self._part(int(i), index[which == i]) for i in np.unique(which)})

    def _part(self, i: int, places: np.ndarray) -> Drawn:
        order, first = self._orders[i]
        drawn = order(places)
        return Drawn(drawn.numbers + first, drawn.counts)

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """The order at every place of a block, and how many places before it in the block are that order's."""
        parts = np.repeat(np.arange(len(self._each)), self._each)
        parts = np.random.default_rng((self._seed, 1, block)).permutation(parts)
        ranks = np.empty(BLOCK, np.int64)
        ranks[np.argsort(parts, kind="stable")] = np.concatenate([np.arange(count) for count in self._each])
        return parts, ranks


def shares(weights: Sequence[float]) -> np.ndarray:
    """How many of ``BLOCK`` places each weight has: all of them, by largest remainders."""
    wanted = np.asarray(weights, float)
    if not len(wanted) or not np.isfinite(wanted).all() or (wanted <= 0).any():
        raise UserError(f"weights {tuple(weights)} must be finite and above 0; leave out a part that is not wanted")
    wanted = wanted / wanted.sum() * BLOCK
    each = np.floor(wanted).astype(np.int64)
    each[np.argsort(each - wanted, kind="stable")[: BLOCK - each.sum()]] += 1
    if (each == 0).any():
        raise UserError(f"weights {tuple(weights)}: the smallest is less than 1 in {BLOCK:,}; make it larger")
    return each


def _merged(which: np.ndarray, parts: dict[Any, Drawn]) -> Drawn:
    """Several orders' draws in the places that ``which`` gives them."""
    counts = np.empty(len(which), np.int64)
    for i, drawn in parts.items():
        counts[which == i] = drawn.counts
    numbers = np.empty(int(counts.sum()), np.int64)
    owner = np.repeat(which, counts)
    for i, drawn in parts.items():
        numbers[owner == i] = drawn.numbers
    return Drawn(numbers, counts)


class _Recent:
    """The last two results of a function of a number, made when asked for."""

    def __init__(self, make: Callable[[int], Any]):
        self._make = make
        self._made: dict[int, Any] = {}

    def __call__(self, key: int) -> Any:
        found = self._made.get(key)
        if found is None:
            found = self._make(key)
            # Replaced as a whole: the threads that read ahead may ask for different ones.
            self._made = {**dict(list(self._made.items())[-1:]), key: found}
        return found
