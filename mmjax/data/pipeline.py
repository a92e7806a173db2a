"""Batches in a deterministic order: shuffled for ever to train, once through to evaluate.

Batch k of a stream is a function of the seed and k alone, and its state is k. One map makes a whole batch at a time,
which is two orders faster than passing single records through a loader. What a step waits for comes from threads or
processes of its own (``data.ahead``, ``data.worker``), what is swept through once from grain.
"""

import contextlib
import itertools
import os
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from mmjax.core import Batch, UserError
from mmjax.data.ahead import Ahead
from mmjax.data.bucketed import Bucketed
from mmjax.data.examples import Examples
from mmjax.data.ramp import Growth, Ramp
from mmjax.data.worker import Batches


class Stream:
    """An endless iterator of batches whose state is one number, beside what tells that the rows are the same."""

    def __init__(self, batches: Any, examples: Examples):
        self._batches, self._name, self._rows = batches, examples.name, examples.fingerprint()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Batch:
        return next(self._batches)

    def get_state(self) -> dict[str, Any]:
        """Where the stream stands, ready for JSON; the same for every shard and any number of them."""
        return {"rows": self._rows, "batches": self._batches.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there: the next batch is the one that would have come next. UserError where rows have changed."""
        if state["rows"] != self._rows:
            raise UserError(
                f"{self._name} has changed since this run was saved; restore it or choose another --workdir"
            )
        self._batches.set_state(state["batches"])

    def close(self) -> None:
        """Stop reading ahead."""
        self._batches.close()


def stream(
    examples: Examples,
    *,
    batch: int,
    seed: int,
    augment: Sequence[Any] = (),
    shard: tuple[int, int] = (0, 1),
    prefetch: int = 2,
    workers: int = 0,
    ramp: Ramp | None = None,
) -> Stream:
    """Batches of ``batch`` examples for ever, shuffled anew in every epoch, which batches may straddle.

    Shard (p, P) gets its contiguous slice of each, so that P processes see together what one would.
    Each transform draws from a generator keyed by the seed, the example's place in the stream and its own. With
    ``workers`` batches are made in so many processes, else in threads of this one; they are the same. With a
    ``ramp`` the first batches are smaller. Raises UserError where a batch does not divide by P, or a transform does not
    fit the data.
    """
    growth = Growth(batch, ramp)
    if ramp is not None and isinstance(examples, Bucketed):
        raise UserError("run.ramp: datasets.Bucketed makes batches of one size; set run.ramp to None")
    for size in growth.sizes:
        _slice(size, shard)
    for transform in augment:
        _fits(transform, examples)
    make = _Maker(examples, growth, seed, tuple(augment), shard)
    if not workers:
        threads = _threads(examples)
        return Stream(Ahead(make, threads=threads, ahead=max(prefetch, threads) if prefetch else 0), examples)
    return Stream(Batches(make, workers=workers), examples)


class _Maker:
    """Batch k of a stream, or one process's part of it."""

    def __init__(self, examples: Examples, growth: Growth, seed: int, augment: tuple[Any, ...], shard: tuple[int, int]):
        self._examples, self._seed, self._augment = examples, seed, augment
        self._growth, self._shard = growth, shard
        self._order = examples.order(seed)

    def __call__(self, k: int) -> Batch:
        start, size = self._growth(k)
        places = start + np.arange(*_slice(size, self._shard))
        drawn = self._order(places)
        if not self._augment:
            return self._examples.at(drawn)
        draws = _Draws(self._seed)
        changed = []
        found = iter(self._examples.take(drawn.numbers))
        for place, count in zip(places.tolist(), drawn.counts.tolist(), strict=True):
            for number, example in enumerate(itertools.islice(found, count)):
                inputs = example["inputs"]
                for i, transform in enumerate(self._augment):
                    inputs = transform(inputs, draws.at(place, i, number))
                changed.append({"inputs": inputs, "targets": example["targets"]})
        return self._examples.collate(changed, drawn=drawn)

    def news(self) -> Any:
        return self._examples.news()

    def hear(self, news: Any) -> None:
        self._examples.hear(news)


def sweep(
    examples: Examples, *, batch: int, shard: tuple[int, int] = (0, 1), prefetch: int = 2
) -> Generator[tuple[Batch, np.ndarray], None, None]:
    """Every example exactly once and in order, as (batch, numbers of its examples).

    The last batch is filled up with rows of which everything is masked and whose number is -1. Shard
    (p, P) gets its contiguous slice of each, so every shard yields equally many batches of equal size.
    """
    first, last = _slice(batch, shard)

    def make(k: int) -> tuple[Batch, np.ndarray]:
        numbers = np.arange(k * batch + first, k * batch + last)
        numbers[numbers >= len(examples)] = -1
        real = numbers[numbers >= 0]
        return examples.batch(real, pad_to=last - first), numbers

    return _swept(_iterator(make, -(-len(examples) // batch), examples, prefetch))


def _swept(batches: Any) -> Generator[tuple[Batch, np.ndarray], None, None]:
    """Reads no further ahead once it is closed."""
    with contextlib.closing(batches):
        yield from batches


def _iterator(make: Any, count: int, examples: Examples, prefetch: int) -> Any:
    """Grain's iterator over ``make(k)``."""
    import grain

    threads = _threads(examples)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(prefetch, threads) if prefetch else 0)
    return iter(grain.MapDataset.range(count).map(make).to_iter_dataset(options))


def _threads(examples: Examples) -> int:
    """How many make batches: one is fastest over memory; decoding takes all cores."""
    return 1 if examples.cached else os.cpu_count() or 1


def _slice(batch: int, shard: tuple[int, int]) -> tuple[int, int]:
    index, count = shard
    if batch < 1:
        raise UserError(f"batch is {batch}; it must be 1 or more")
    if batch % count:
        raise UserError(f"batch {batch} cannot be shared evenly by {count} processes")
    return batch // count * index, batch // count * (index + 1)


def _fits(transform: Any, examples: Examples) -> None:
    """Whether the data have the modality that a transform changes, and of its kind."""
    name, fields = transform.modality, examples.schema.inputs
    label = f"transforms.{type(transform).__name__}"
    if name not in fields:
        raise UserError(f"{label} names the modality {name!r}, but the data have {', '.join(fields)}")
    if fields[name].kind not in transform.kinds:
        raise UserError(f"{label} changes {' or '.join(transform.kinds)}, but {name!r} is of kind {fields[name].kind}")


class _Draws:
    """A generator for each place, transform and number of an example in its row.

    It sets Philox's counter, which is five times cheaper than seeding a new one. What one transform draws, or does not
    because its modality is absent, shifts nothing for the next.
    """

    def __init__(self, seed: int):
        self._bits = np.random.Philox(seed)
        self._generator = np.random.Generator(self._bits)
        self._start: Any = self._bits.state

    def at(self, place: int, transform: int, number: int) -> np.random.Generator:
        self._start["state"]["counter"][:] = (0, transform, place, number)
        self._bits.state = self._start
        return self._generator
