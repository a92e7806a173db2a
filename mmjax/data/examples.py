"""Rows read by a schema: decoded once where memory allows, each by its number, none replaced."""

import copy
import dataclasses
import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mmjax.core import Batch, Signal, UserError
from mmjax.data.column import Column
from mmjax.data.fields.field import Field
from mmjax.data.fields.prompt import Prompt
from mmjax.data.order import Drawn, Shuffled
from mmjax.data.schema import Schema
from mmjax.data.sources import BadRow, Lazy, Row, Rows, Source, fatal, nearest, taken

_CHUNK = 64  # cells a thread decodes at a time


class Examples(Sequence[dict[str, dict[str, np.ndarray | None]]]):
    """The examples of ``source`` in its order.

    ``schema``: what was asked for; ``lacks``: modalities of which the source has no column, absent in every row;
    ``rejects``: ``{"row", "file", "reason"}`` for each row left out; ``cut``: how many examples of each modality are
    longer than the schema allows and lose a part in every batch.

    All rows are decoded and verified at once if that takes at most ``cache_gb`` gigabytes, by an estimate from
    16 rows; otherwise each when it is asked for. A row that turns out bad only then stops the run, or, with
    "quarantine", is an example of which everything is absent and a line in ``rejects``.
    """

    def __init__(self, source: Source, schema: Schema, *, on_bad_row: str = "stop", cache_gb: float = 4.0):
        self.schema = schema
        self.name = source.name
        self.rejects: list[dict[str, Any]] = []
        self.known: dict[str, np.ndarray] = {}  # units by modality that whoever opened these rows knows of
        self._told = 0
        self._rejected: set[tuple[str, int, str]] = set()
        self._source = source
        self._stop = Rows((), on_bad_row).on_bad_row == "stop"
        self._lock = threading.Lock()
        self.lacks = _lacks(source, schema.inputs)
        kept = self._whole()
        self._columns = {
            (part, name): Column(field, source.rows, kept)
            for part, fields in (("inputs", schema.inputs), ("targets", schema.targets))
            for name, field in fields.items()
            if part == "inputs" or any(column in source.columns for column in field.columns)
        }
        self.cached = sum(column.estimate() for column in self._columns.values()) <= cache_gb * 1e9
        if self.cached:
            kept = self._decode(kept)
        self._kept = kept
        if not kept:
            raise UserError(f"{self.name}: every row is bad; the first: {self.rejects[0]['reason']}")

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, i: Any) -> Any:
        """``{"inputs": {modality: array or None}, "targets": {...}}``, arrays read-only and in full length."""
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} examples, no number {i}")
        return self.take([int(i) % len(self)])[0]

    def take(self, numbers: Sequence[int] | np.ndarray) -> list[dict[str, dict[str, np.ndarray | None]]]:
        """The examples of these numbers; of rows that are made when asked for, each is made once."""
        numbers = [int(i) for i in numbers]
        if self.cached:
            return [self._example(lambda column, i=i: column[i]) for i in numbers]
        rows = taken(self._source.rows, [self._kept[i] for i in numbers])
        return [
            self._example(lambda column, i=i, row=row: column.read(i, row))
            for i, row in zip(numbers, rows, strict=True)
        ]

    def _example(self, read: Callable[[Column], np.ndarray | None]) -> dict[str, dict[str, np.ndarray | None]]:
        example: dict[str, dict[str, np.ndarray | None]] = {"inputs": {}, "targets": {}}
        try:
            for (part, name), column in self._columns.items():
                example[part][name] = read(column)
        except BadRow as bad:
            self._reject(bad)
            for part, name in self._columns:
                example[part][name] = None
        return example

    @property
    def cut(self) -> dict[str, int]:
        return {name: column.cut for (part, name), column in self._columns.items() if part == "inputs" and column.cut}

    def news(self) -> dict[str, Any]:
        """What was found bad or too long since this was asked last, for the process that another one reads for."""
        rejects, self._told = self.rejects[self._told :], len(self.rejects)
        return {"rejects": rejects, "long": {key: column.news() for key, column in self._columns.items()}}

    def hear(self, news: Mapping[str, Any]) -> None:
        """News of another process."""
        for key, slots in news["long"].items():
            self._columns[key].hear(slots)
        for reject in news["rejects"]:
            self._noted(reject)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def order(self, seed: int) -> Shuffled:
        """What a stream of these examples holds at each place."""
        return Shuffled(len(self), seed)

    def at(self, drawn: Drawn) -> Batch:
        """The examples that were drawn."""
        return self.batch(drawn.numbers)

    def units(self) -> dict[str, np.ndarray]:
        """How much of a row each example takes, by modality; 0 where it is absent. Reads all that is not known yet."""
        columns = {name: column for (part, name), column in self._columns.items() if part == "inputs"}
        found = {name: self.known[name] for name in columns if name in self.known}
        if self.cached:
            return {name: found.get(name, column.units()) for name, column in columns.items()}
        rest = [name for name in columns if name not in found]
        if not rest:
            return found

        def chunk(start: int) -> list[list[int]]:
            examples = self.take(range(start, min(start + _CHUNK, len(self))))
            return [[columns[name].extent(example["inputs"][name]) for name in rest] for example in examples]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            chunks = pool.map(chunk, range(0, len(self), _CHUNK))
            read = np.array(list(itertools.chain.from_iterable(chunks)), np.int64)
        return found | {name: read[:, i] for i, name in enumerate(rest)}

    def notes(self) -> list[str]:
        """A line for people on all that was left out or cut, of what has been read."""
        count = len(self.rejects)
        left_out = [f"{self.name}: {count} bad row{'s' * (count != 1)} left out"] if count else []
        return left_out + [
            f"{self.name}: {modality} of {count} examples is longer than the model takes, and cut"
            for modality, count in self.cut.items()
        ]

    def batch(self, rows: Sequence[int] | np.ndarray, *, pad_to: int | None = None) -> Batch:
        """The examples of these numbers, then padding rows, wholly masked, up to ``pad_to``."""
        rows = np.asarray(rows, np.int64)
        if not self.cached or (pad_to or 0) > len(rows):
            return self.collate(self.take(rows), pad_to=pad_to)
        signals: dict[str, dict[str, Signal]] = {"inputs": {}, "targets": {}}
        for (part, name), column in self._columns.items():
            signals[part][name] = column.field.batch(column.take(rows))
        return self._batch(signals, len(rows))

    def collate(
        self,
        examples: Sequence[Mapping[str, Mapping[str, Any]]],
        *,
        pad_to: int | None = None,
        drawn: Drawn | None = None,
    ) -> Batch:
        """Examples, as ``[i]`` gives them and transforms leave them, as one batch of numpy arrays, one a row."""
        padding = [None] * max(0, (pad_to or 0) - len(examples))
        signals: dict[str, dict[str, Signal]] = {"inputs": {}, "targets": {}}
        for (part, name), column in self._columns.items():
            signals[part][name] = column.field.batch([example[part][name] for example in examples] + padding)
        return self._batch(signals, len(examples) + len(padding))

    def part(
        self, rows: Sequence[int] | np.ndarray | None = None, *, modalities: Collection[str] | None = None
    ) -> "Examples":
        """These numbers and modalities alone (None: all); what was decoded is shared, and so are the rejects."""
        twin = copy.copy(self)
        kept = self.schema.inputs if modalities is None else modalities
        twin.schema = self.schema.only(kept, reason="left out of this part")
        twin.lacks = tuple(name for name in self.lacks if name in kept)
        rows = range(len(self)) if rows is None else rows
        twin._kept = [self._kept[int(i)] for i in rows]
        twin.known = {name: units[np.asarray(rows, np.int64)] for name, units in self.known.items()}
        twin._columns = {
            (part, name): column.part(rows)
            for (part, name), column in self._columns.items()
            if part == "targets" or name in kept
        }
        return twin

    def where(self, i: int) -> str:
        """``val.csv row 7``: where example ``i`` comes from."""
        return str(self.row(i))

    def row(self, i: int) -> Row:
        """The row as it was read, cells and all."""
        return self._source.rows[self._kept[i]]

    def identity(self, i: int) -> str:
        """What people know the example by: its cell in a column "id", else its first file, else its place."""
        row = self.row(i)
        if row.cell("id") is not None:
            return str(row.cell("id"))
        kinds = ("image", "audio", "video", "sensor")
        files = (row.cell(field.columns[0]) for field in self.schema.inputs.values() if field.kind in kinds)
        return next((cell for cell in files if isinstance(cell, str)), str(row))

    def fingerprint(self) -> str:
        """Another one where rows were added, lost or reordered, or cells changed; files that cells name are not read.

        Of rows that are made when asked for, their number counts, and their digest where they have one.
        """
        digest = hashlib.sha256(str(len(self)).encode())
        if isinstance(self._source.rows, Lazy):
            digest.update(self._source.rows.digest.encode())
        else:
            columns = sorted({column for held in self._columns.values() for column in held.field.columns})
            for i in range(len(self)):
                cells = self.row(i).cells
                digest.update(repr([cells.get(column) for column in columns]).encode("utf-8", "backslashreplace"))
        return digest.hexdigest()[:16]

    def _batch(self, signals: dict[str, dict[str, Signal]], size: int) -> Batch:
        for name, field in self.schema.targets.items():
            if name not in signals["targets"]:
                signals["targets"][name] = field.batch([None] * size)
        return Batch(inputs=signals["inputs"], targets=signals["targets"])

    def _whole(self) -> list[int]:
        """Numbers of the rows that could be split into cells at all."""
        if isinstance(self._source.rows, Lazy):  # made, not split
            return list(range(len(self._source.rows)))
        kept = []
        for i, row in enumerate(self._source.rows):
            if row.fault:
                self._reject(row.bad(row.fault))
            else:
                kept.append(i)
        return kept

    def _decode(self, kept: list[int]) -> list[int]:
        """Fill every column; the numbers of the rows of which every cell is good."""
        rows, columns = self._source.rows, self._columns.values()

        def chunk(start: int) -> None:  # of rows that are made, which have no cell in common
            made = taken(rows, kept[start : start + _CHUNK])
            for column in columns:
                column.decode(start, start + _CHUNK, made)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            if isinstance(rows, Lazy):
                list(pool.map(chunk, range(0, len(kept), _CHUNK)))
            for column in columns if not isinstance(rows, Lazy) else ():
                starts = range(0, column.distinct, _CHUNK)
                list(pool.map(lambda start, column=column: column.decode(start, start + _CHUNK), starts))
        faults: dict[int, BadRow] = {}
        for column in self._columns.values():
            for i, bad in column.faults():
                if kept[i] not in faults:
                    faults[kept[i]] = BadRow(self._source.rows[kept[i]], bad.reason)
        for i in sorted(faults):
            self._reject(faults[i])
        good = np.array([i not in faults for i in kept], bool)
        for column in self._columns.values():
            column.seal(good)
        return [i for i in kept if i not in faults]

    def _reject(self, bad: BadRow) -> None:
        if self._stop:
            raise fatal(bad)
        self._noted({"row": bad.row.number, "file": bad.row.source, "reason": bad.reason})

    def _noted(self, record: dict[str, Any]) -> None:
        key = (record["file"], record["row"], record["reason"])
        with self._lock:
            if key not in self._rejected:
                self._rejected.add(key)
                self.rejects.append(record)


def _lacks(source: Source, inputs: Mapping[str, Field]) -> tuple[str, ...]:
    """Modalities without any column; UserError where that is all of them."""
    lacks = tuple(name for name, field in inputs.items() if not set(field.columns) & set(source.columns))
    if len(lacks) == len(inputs) and inputs:
        column = next(iter(inputs.values())).columns[0]
        raise UserError(
            f"{source.name} has no column of any modality that was learned; "
            f"it lacks {column!r}{nearest(column, source.columns)}"
        )
    return lacks


def unlabelled(schema: Schema) -> Schema:
    """The schema without targets and answers, for rows whose answers are asked for."""
    inputs = {name: field.asking() if isinstance(field, Prompt) else field for name, field in schema.inputs.items()}
    return dataclasses.replace(schema, inputs=inputs, targets={})
