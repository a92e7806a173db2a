"""Several data sets as one: the examples of each, one after the other."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.core import Batch, Signal
from mmjax.data.examples import Examples
from mmjax.data.fields.image import Image
from mmjax.data.order import Drawn, Mixed
from mmjax.data.schema import Schema
from mmjax.data.sources import Row


class Joined(Sequence[dict[str, dict[str, np.ndarray | None]]]):
    """The examples of all ``parts``, read by one schema, which a stream mixes by their ``weights`` (none: by size).

    It can all that ``Examples`` can.
    """

    def __init__(self, parts: Mapping[str, Examples], weights: Mapping[str, float], schema: Schema):
        self.schema, self.parts, self.weights = schema, dict(parts), dict(weights)
        self.name = " and ".join(part.name for part in self.parts.values())
        self.cached = all(part.cached for part in self.parts.values())
        each = list(self.parts.values())
        self.lacks = tuple(name for name in schema.inputs if all(name in part.lacks for part in each))
        self._each = each
        self._starts = np.cumsum([0, *(len(part) for part in each)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} examples, no number {i}")
        part, own = self._at(int(i) % len(self))
        return part[own]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return [reject for part in self._each for reject in part.rejects]

    @property
    def cut(self) -> dict[str, int]:
        return {
            name: count for name in self.schema.inputs if (count := sum(part.cut.get(name, 0) for part in self._each))
        }

    def units(self) -> dict[str, np.ndarray]:
        """As ``Examples.units``."""
        each = [(part.units(), len(part)) for part in self._each]
        none = {size: np.zeros(size, np.int64) for _, size in each}
        return {
            name: np.concatenate([units.get(name, none[size]) for units, size in each]) for name in self.schema.inputs
        }

    def notes(self) -> list[str]:
        return [note for part in self._each for note in part.notes()]

    def news(self) -> list[Any]:
        return [part.news() for part in self._each]

    def hear(self, news: list[Any]) -> None:
        for part, own in zip(self._each, news, strict=True):
            part.hear(own)

    def order(self, seed: int) -> Mixed:
        """What a stream of the mixture holds at each place."""
        return self.mixed([(part.order(seed), len(part)) for part in self._each], seed)

    def mixed(self, orders: Sequence[tuple[Any, float]], seed: int) -> Mixed:
        """Orders over the parts, each given with its size, in the mixture's shares."""
        for i, (own, _) in enumerate(orders):
            own.key = (2, i)  # parts of one size are not to be shuffled alike
        weights = [self.weights.get(name, size) for name, (_, size) in zip(self.parts, orders, strict=True)]
        starts = self._starts[:-1].tolist()
        return Mixed([(own, first) for (own, _), first in zip(orders, starts, strict=True)], weights, seed)

    def take(self, numbers: Sequence[int] | np.ndarray) -> list[dict[str, dict[str, np.ndarray | None]]]:
        """The examples of these numbers."""
        found: list[Any] = [None] * len(numbers)
        for part, places, own in self._split(numbers):
            for place, example in zip(places, part.take(own), strict=True):
                found[place] = example
        return found

    def at(self, drawn: Drawn) -> Batch:
        """The examples that were drawn."""
        return self.batch(drawn.numbers)

    def batch(self, rows: Sequence[int] | np.ndarray, *, pad_to: int | None = None) -> Batch:
        """As ``Examples.batch``."""
        if not len(rows) or (pad_to or 0) > len(rows):
            return self.collate(self.take(rows), pad_to=pad_to)
        split = self._split(rows)
        back = np.argsort(np.concatenate([places for _, places, _ in split]), kind="stable")
        batches = [part.batch(own) for part, _, own in split]

        def joined(fields: Mapping[str, Any], signals: Sequence[Mapping[str, Signal]]) -> dict[str, Signal]:
            every = {
                name: [
                    held[name] if name in held else field.batch([None] * len(own))
                    for held, (_, _, own) in zip(signals, split, strict=True)
                ]
                for name, field in fields.items()
            }
            return {name: _joined(_alike(parts, fields[name]), back) for name, parts in every.items()}

        inputs = joined(self.schema.inputs, [batch.inputs for batch in batches])
        return Batch(inputs, joined(self.schema.targets, [batch.targets for batch in batches]))

    def collate(
        self,
        examples: Sequence[Mapping[str, Mapping[str, Any]]],
        *,
        pad_to: int | None = None,
        drawn: Drawn | None = None,
    ) -> Batch:
        """As ``Examples.collate``; what a part has no column for is absent."""
        return self.schema.batch(examples, pad_to=pad_to)

    def part(
        self, rows: Sequence[int] | np.ndarray | None = None, *, modalities: Collection[str] | None = None
    ) -> "Joined":
        """These numbers, which have to rise from part to part, and modalities alone."""
        numbers = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        if (np.diff(which) < 0).any():
            raise ValueError("the numbers of a mixture's part have to rise from one data set to the next")
        kept = {
            name: part.part(numbers[which == i] - self._starts[i], modalities=modalities)
            for i, (name, part) in enumerate(self.parts.items())
            if (which == i).any()
        }
        wanted = self.schema.inputs if modalities is None else modalities
        return Joined(kept, self.weights, self.schema.only(wanted, reason="left out of this part"))

    def where(self, i: int) -> str:
        return str(self.row(i))

    def row(self, i: int) -> Row:
        part, own = self._at(i)
        return part.row(own)

    def identity(self, i: int) -> str:
        part, own = self._at(i)
        return part.identity(own)

    def fingerprint(self) -> str:
        """Another one where that of a part is, or weights are."""
        parts = [(name, part.fingerprint()) for name, part in self.parts.items()]
        return hashlib.sha256(repr((parts, sorted(self.weights.items()))).encode()).hexdigest()[:16]

    def _at(self, i: int) -> tuple[Examples, int]:
        which = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self._each[which], int(i - self._starts[which])

    def _split(self, numbers: Sequence[int] | np.ndarray) -> list[tuple[Examples, np.ndarray, np.ndarray]]:
        """Each part that has some of these numbers: where they stand, and its own numbers."""
        numbers = np.asarray(numbers, np.int64)
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        return [
            (self._each[i], np.flatnonzero(which == i), numbers[which == i] - self._starts[i]) for i in np.unique(which)
        ]


def _alike(signals: Sequence[Signal], field: Any) -> Sequence[Signal]:
    """Of several kinds of numbers none is left for later."""
    kinds = {signal.values.dtype for signal in signals}
    return signals if len(kinds) == 1 or not isinstance(field, Image) else [field.done(signal) for signal in signals]


def _joined(signals: Sequence[Signal], back: np.ndarray) -> Signal:
    def whole(name: str) -> Any:
        parts = [getattr(signal, name) for signal in signals]
        return None if parts[0] is None else np.concatenate(parts)[back]

    return Signal(*(whole(name) for name in ("values", "mask", "segments", "positions")))
