"""Examples in batches of their own length."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.core import Batch, UserError
from mmjax.data.arranged import Arranged
from mmjax.data.examples import Examples
from mmjax.data.joined import Joined
from mmjax.data.order import BLOCK, Drawn, Mixed, Shuffled
from mmjax.data.schema import Schema


class Bucketed(Arranged):
    """``examples`` of which a stream puts those of about one length into a batch; for all else it is they.

    lengths: the buckets of each modality, as many of each, the shortest first; an example is in the first bucket
    in which all of it has room, or in the last. Every batch is of one bucket, each of which has its share of them.
    Raises UserError for a mixture with weights.
    """

    def __init__(self, examples: Examples | Joined, schema: Schema, lengths: Mapping[str, Sequence[int]], batch: int):
        super().__init__(examples, schema)
        self._lengths, self._batch = dict(lengths), batch
        if isinstance(examples, Joined) and examples.weights:
            raise UserError("datasets.Bucketed: buckets would undo the weights of datasets.Mixture; leave weights out")
        units = examples.units()
        rooms = np.array([lengths[name] for name in lengths]).T  # bucket modality
        each = np.stack([units.get(name, np.zeros(len(examples), np.int64)) for name in lengths], axis=1)
        fits = np.ones((len(each), len(rooms)), bool)
        fits[:, :-1] = (each[:, None] <= rooms[:-1]).all(axis=2)
        self._bucket = np.argmax(fits, axis=1)
        self._members = {int(i): np.flatnonzero(self._bucket == i) for i in np.unique(self._bucket)}
        self._schemas = [
            _shortened(schema, {name: room[i] for name, room in lengths.items()}) for i in range(len(rooms))
        ]

    def order(self, seed: int) -> "_Order":
        """What a stream holds at each place: every batch's places have examples of one bucket."""
        return _Order(list(self._members.values()), self._batch, seed)

    def at(self, drawn: Drawn) -> Batch:
        """The examples that were drawn, as long as their bucket."""
        return self.collate(self._examples.take(drawn.numbers), drawn=drawn)

    def collate(
        self,
        examples: Sequence[Mapping[str, Mapping[str, Any]]],
        *,
        pad_to: int | None = None,
        drawn: Drawn | None = None,
    ) -> Batch:
        """Examples as a batch; those that were ``drawn`` as long as their bucket."""
        schema = self.schema if drawn is None else self._schemas[int(self._bucket[drawn.numbers].max())]
        return schema.batch(examples, pad_to=pad_to)

    def part(self, *args: Any, **kwargs: Any) -> Any:
        """Some of the examples, in no buckets."""
        return self._examples.part(*args, **kwargs)

    def notes(self) -> list[str]:
        counts = ", ".join(f"{len(members):,}" for members in self._members.values())
        return [*self._examples.notes(), f"{self.name}: {counts} examples in buckets of rising length"]

    def fingerprint(self) -> str:
        """Another one where the examples are, or the buckets."""
        said = (self._examples.fingerprint(), sorted((k, tuple(v)) for k, v in self._lengths.items()), self._batch)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class _Order:
    """Batches of several buckets in their shares, each bucket shuffled by itself."""

    def __init__(self, members: list[np.ndarray], batch: int, seed: int):
        self._members, self._batch = members, batch
        self._each = [Shuffled(len(own), seed, (4, i)) for i, own in enumerate(members)]
        sizes = np.array([len(own) for own in members])
        weights = np.maximum(sizes, sizes.sum() / (BLOCK // 2)).tolist()  # a bucket of few has its turn too
        self._which = Mixed([(_Counted(), i << 40) for i in range(len(members))], weights, seed)

    def __call__(self, places: np.ndarray) -> Drawn:
        batches, offsets = np.divmod(places, self._batch)
        which, index = np.divmod(self._which(batches).numbers, 1 << 40)
        numbers = np.empty_like(places)
        for i in np.unique(which):
            own = which == i
            numbers[own] = self._members[i][self._each[i](index[own] * self._batch + offsets[own]).numbers]
        return Drawn(numbers, np.ones(len(places), np.int64))


class _Counted:
    """An order of numbers as they come."""

    def __call__(self, places: np.ndarray) -> Drawn:
        return Drawn(places, np.ones(len(places), np.int64))


def _shortened(schema: Schema, lengths: Mapping[str, int]) -> Schema:
    """The schema for batches of so many units of these modalities."""
    inputs = {
        name: shortened(field, int(lengths[name])) if name in lengths else field
        for name, field in schema.inputs.items()
    }
    return dataclasses.replace(schema, inputs=inputs)


def shortened(field: Any, length: int) -> Any:
    """The field for batches of at most ``length`` units. UserError where it has no length."""
    length = min(length, field.shape[0])
    if hasattr(field, "seconds"):
        return dataclasses.replace(field, seconds=length / field.rate)
    for name in ("length", "frames", "most"):
        if hasattr(field, name):
            return dataclasses.replace(field, **{name: length})
    raise UserError(f"datasets.Bucketed: {', '.join(field.columns)}, of kind {field.kind}, has one length for all")
