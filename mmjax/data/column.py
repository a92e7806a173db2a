"""One field's examples of all rows, each distinct cell read once."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmjax.data.fields.field import Field
from mmjax.data.sources import BadRow, Lazy, Row

_PROBES = 16  # cells decoded to estimate the memory for all


class Column:
    """Rows that name the same file, or hold the same text, share one decoded array.

    Before ``decode`` and ``seal`` an item is read when it is asked for.
    """

    def __init__(self, field: Field, rows: Sequence[Row], kept: Sequence[int]):
        self.field = field
        self._rows = rows
        self._kept = kept
        self._firsts, self._slots = _shared(field, rows, kept)
        self._values: Any = None  # a list or, where all have one shape, an array
        self._decoded: list[np.ndarray | None] = [None] * len(self._firsts)
        self._bad: dict[int, BadRow] = {}
        self._long: set[int] = set()
        self._told: set[int] = set()

    @property
    def distinct(self) -> int:
        return len(self._firsts)

    @property
    def cut(self) -> int:
        """How many rows ``field.batch`` shortens, of those that have been read."""
        return int(np.isin(self._slots, list(self._long)).sum()) if self._long else 0

    def news(self) -> set[int]:
        """Which examples turned out too long since this was asked last."""
        new, self._told = self._long - self._told, set(self._long)
        return new

    def hear(self, slots: set[int]) -> None:
        """News of the same column in another process."""
        self._long |= slots

    def estimate(self) -> float:
        """Bytes for all distinct cells, from a few of them; bad ones count as the average."""
        sizes = []
        for slot in np.unique(np.linspace(0, self.distinct - 1, min(_PROBES, self.distinct)).astype(int)):
            try:
                value = self.field.read(self._rows[self._firsts[slot]])
            except BadRow:
                continue
            sizes.append(0 if value is None else value.nbytes)
        return float(np.mean(sizes)) * self.distinct if sizes else 0.0

    def decode(self, start: int, stop: int, rows: Sequence[Row] | None = None) -> None:
        """Read the distinct cells from ``start`` up to ``stop``, keeping complaints for ``faults``.

        rows: those that hold them, where they were made already.
        """
        slots = range(start, min(stop, self.distinct))
        for slot in slots:
            row = self._rows[self._firsts[slot]] if rows is None else rows[slot - start]
            try:
                self._decoded[slot] = self._read(row, slot)
            except BadRow as bad:
                self._bad[slot] = bad

    def faults(self) -> Iterator[tuple[int, BadRow]]:
        """(position among the rows, complaint) for every row whose cell is bad."""
        if self._bad:
            for i, slot in enumerate(self._slots):
                if int(slot) in self._bad:
                    yield i, self._bad[int(slot)]

    def seal(self, good: np.ndarray) -> None:
        """Keep the rows that are ``good``; values become one array where all are there and have one shape."""
        used, self._slots = np.unique(self._slots[good], return_inverse=True)
        values = [self._decoded[slot] for slot in used]
        places = {int(slot): i for i, slot in enumerate(used)}
        self._long = {places[slot] for slot in self._long if slot in places}
        if values and len({None if value is None else (value.shape, value.dtype) for value in values}) == 1:
            values = values if values[0] is None else np.stack(values)
        for value in [values] if isinstance(values, np.ndarray) else values:
            if value is not None:
                value.flags.writeable = False
        self._values = values
        self._decoded = []

    def take(self, rows: np.ndarray) -> list[np.ndarray | None] | np.ndarray:
        """The arrays of these rows, as one array where the column is one."""
        if isinstance(self._values, np.ndarray):
            return self._values[self._slots[rows]]
        return [self[int(i)] for i in rows]

    def units(self) -> np.ndarray:
        """How much of a row each example of a column that was decoded takes."""
        return np.array([self.extent(value) for value in self._values], np.int64)[self._slots]

    def extent(self, value: np.ndarray | None) -> int:
        """How much of a row an example takes, 0 where there is none."""
        return 0 if value is None else self.field.units(value)

    def part(self, rows: Sequence[int] | np.ndarray) -> "Column":
        """These rows alone; what was decoded is shared."""
        twin, chosen = copy.copy(self), np.asarray(rows, np.int64)
        twin._slots = self._slots[chosen]
        if self._values is None:  # once sealed, items are found by their slots alone
            twin._kept = [self._kept[int(i)] for i in chosen]
        return twin

    def __getitem__(self, i: int) -> np.ndarray | None:
        """The example of a column that was decoded."""
        return self._values[int(self._slots[i])]

    def read(self, i: int, row: Row) -> np.ndarray | None:
        """The example of one that was not, from its row."""
        return self._read(row, int(self._slots[i]))

    def _read(self, row: Row, slot: int) -> np.ndarray | None:
        value = self.field.read(row)
        if value is not None and self.field.cuts(value):
            self._long.add(slot)
        return value


def _shared(field: Field, rows: Sequence[Row], kept: Sequence[int]) -> tuple[list[int], np.ndarray]:
    """Rows that are the first with their cell, and for each kept row which of these it shares."""
    column = field.columns[0]
    if (
        isinstance(rows, Lazy)
        or len(field.columns) > 1
        or not any(isinstance(rows[i].cells.get(column), str) for i in kept[:_PROBES])
    ):
        return list(kept), np.arange(len(kept))
    firsts: list[int] = []
    slots = np.zeros(len(kept), np.int64)
    seen: dict[Any, int] = {}
    for k, i in enumerate(kept):
        cell = rows[i].cells.get(column)
        key = cell if isinstance(cell, str) else (k,)
        if key not in seen:
            seen[key] = len(firsts)
            firsts.append(i)
        slots[k] = seen[key]
    return firsts, slots
