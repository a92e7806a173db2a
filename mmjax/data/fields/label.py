"""Answers by name: one of several classes, or any number of labels."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.sources import Row, Rows, nearest, spelled


@dataclasses.dataclass(frozen=True)
class Class:
    """One class a row. ``names`` none: all of the training rows, sorted, whole numbers by size.

    A label outside ``names`` is a bad row, unless ``other`` names a class for all such. Learned names
    that fewer than ``least`` training rows have belong to ``other`` as well. An empty cell is no answer: masked.
    """

    column: str | None = None
    names: tuple[str, ...] = ()
    other: str = ""
    least: int = 1

    kind: ClassVar[str] = "class"

    def __post_init__(self) -> None:
        if self.least > 1 and not self.other:
            raise UserError("fields.Class: least needs other='name of the class for rarer labels'")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def size(self) -> int:
        return len(self.names)

    def fit(self, rows: Rows) -> "Class":
        if self.names:
            names = self.names
        else:
            counts = Counter(rows.each(lambda row: _label(row, self.column or "")))
            names = ordered(name for name, count in counts.items() if count >= self.least)
            if not counts:
                raise UserError(f"no training row has a label in column {self.column!r}")
        if self.other and self.other not in names:
            names = (*names, self.other)
        if len(names) < 2:
            raise UserError(
                f"column {self.column!r} has only the class {', '.join(names)!r}; a model needs two to choose from"
            )
        return dataclasses.replace(self, names=names)

    def read(self, row: Row) -> np.ndarray | None:
        label = _label(row, self.column or "")
        if label is None:
            return None
        code = self._codes.get(label, self._codes.get(self.other, -1) if self.other else -1)
        if code < 0:
            raise row.bad(_unknown(self.column, label, self.names))
        return np.asarray(code, np.int32)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        if isinstance(examples, np.ndarray):
            return Signal(examples.astype(np.int32, copy=False), np.ones(len(examples), bool))
        mask = np.array([example is not None for example in examples], bool)
        return Signal(np.array([0 if example is None else int(example) for example in examples], np.int32), mask)

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return 1

    def describe(self) -> str:
        return _listed(self.names, "classes")

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}


@dataclasses.dataclass(frozen=True)
class Classes:
    """Any number of labels a row: a list, text parted by ``separator``, or an array of 0 and 1, one for each name.

    An empty list is an answer, none of them; an empty cell or null is no answer, so masked. To say
    "none" in a CSV, write the separator alone.
    """

    column: str | None = None
    names: tuple[str, ...] = ()
    separator: str = ";"

    kind: ClassVar[str] = "classes"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.names),)

    @property
    def size(self) -> int:
        return len(self.names)

    def fit(self, rows: Rows) -> "Classes":
        if self.names:
            return self
        flags = next(rows.each(lambda row: _flags(row, self.column or "")), None)
        if flags is not None:
            return dataclasses.replace(self, names=tuple(str(i) for i in range(len(flags))))
        names = ordered(label for labels in rows.each(self._labels) for label in labels)
        if not names:
            raise UserError(f"no training row has a label in column {self.column!r}")
        return dataclasses.replace(self, names=names)

    def read(self, row: Row) -> np.ndarray | None:
        flags = _flags(row, self.column or "")
        if flags is not None:
            if flags.shape != self.shape or not np.isin(flags, (0, 1)).all():
                raise row.bad(f"{self.column} is not {len(self.names)} numbers of 0 or 1")
            return flags.astype(np.float32)
        labels = self._labels(row)
        if labels is None:
            return None
        values = np.zeros(len(self.names), np.float32)
        for label in labels:
            if label not in self._codes:
                raise row.bad(_unknown(self.column, label, self.names))
            values[self._codes[label]] = 1
        return values

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        present = np.array([example is not None for example in examples], bool)
        none = np.zeros(self.shape, np.float32)
        values = np.stack([none if example is None else example for example in examples])
        return Signal(values, np.repeat(present[:, None], len(self.names), axis=1))

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return len(example)

    def describe(self) -> str:
        return _listed(self.names, "labels, any number of them")

    def _labels(self, row: Row) -> list[str] | None:
        return labels(row, self.column or "", self.separator)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}


def _flags(row: Row, column: str) -> np.ndarray | None:
    cell = row.cell(column)
    return cell if isinstance(cell, np.ndarray) and cell.dtype.kind in "buif" and cell.ndim == 1 else None


def labels(row: Row, column: str, separator: str) -> list[str] | None:
    """The labels of a cell that may hold several."""
    cell = row.cell(column)
    if cell is None:
        return None
    if isinstance(cell, str):
        return [part.strip() for part in cell.split(separator) if part.strip()]
    if isinstance(cell, list | tuple | np.ndarray):
        return [spelled(item) for item in cell]
    return [spelled(cell)]


def ordered(names: Any) -> tuple[str, ...]:
    """Distinct names, whole numbers by size, otherwise by the alphabet."""
    distinct = set(names)
    whole = all(name.lstrip("-").isdecimal() and name.isascii() for name in distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name), name) if whole else (0, name)))


def _label(row: Row, column: str) -> str | None:
    cell = row.cell(column)
    if isinstance(cell, list | tuple | dict):
        raise row.bad(f"{column} holds several labels; declare targets={{{column!r}: fields.Classes()}}")
    if isinstance(cell, float) and cell != cell:
        raise row.bad(f"{column} is NaN; leave the cell empty where there is no label")
    return None if cell is None else spelled(cell)


def _unknown(column: str | None, label: str, names: tuple[str, ...]) -> str:
    return (
        f"{column} is {label!r}, which is none of the {len(names)} labels of the training rows{nearest(label, names)}"
    )


def _listed(names: tuple[str, ...], what: str) -> str:
    return f"{len(names)} {what}: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"
