"""Numbers and categories of a table, as one modality of several columns."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import spread
from mmjax.data.sources import Row, Rows, spelled


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of one row: first the ``numbers``, then the ``categories``.

    Numbers are standardised by the training rows' ``means`` and ``stds``. A category is its code, 1 and up in the
    order of ``vocabularies`` (all training values, sorted); 0 is a value that training never saw. An empty cell
    or null is missing, so masked. A number that is NaN, infinite or no number is a bad row.
    """

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    vocabularies: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    kind: ClassVar[str] = "table"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.numbers, *self.categories)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each column 0 if it holds numbers, otherwise how many codes it has, the unknown one counted in."""
        return (*(0 for _ in self.numbers), *(len(self.vocabularies[name]) + 1 for name in self.categories))

    def fit(self, rows: Rows) -> "Table":
        if not self.columns:
            raise UserError("fields.Table has no columns; give it numbers=(...) or categories=(...)")
        means, stds = [], []
        for name in self.numbers:
            values = list(rows.each(lambda row, name=name: number(row, name)))
            if not values:
                raise UserError(f"no training row has a number in column {name!r}")
            mean, std = spread(math.fsum(values), math.fsum(v * v for v in values), len(values))
            means.append(mean)
            stds.append(std)
        vocabularies = {
            name: self.vocabularies.get(name)
            or tuple(sorted(set(rows.each(lambda row, name=name: _category(row, name)))))
            for name in self.categories
        }
        return dataclasses.replace(
            self, means=self.means or tuple(means), stds=self.stds or tuple(stds), vocabularies=vocabularies
        )

    def read(self, row: Row) -> np.ndarray | None:
        """Values ``f``, NaN where a cell is missing."""
        values = np.full(len(self.columns), np.nan, np.float32)
        for i, name in enumerate(self.numbers):
            found = number(row, name)
            if found is not None:
                values[i] = (found - self.means[i]) / self.stds[i]
        for i, name in enumerate(self.categories, start=len(self.numbers)):
            label = _category(row, name)
            if label is not None:
                values[i] = self._codes[name].get(label, 0)
        return None if np.isnan(values).all() else values

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        missing = np.full(self.shape, np.nan, np.float32)
        if isinstance(examples, np.ndarray):
            values = examples
        else:
            values = np.stack([missing if example is None else example for example in examples])
        mask = ~np.isnan(values)
        return Signal(np.where(mask, values, np.float32(0)), mask)

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return len(example)

    def describe(self) -> str:
        numbers = [
            f"{name} {mean:.3g}±{std:.3g}" for name, mean, std in zip(self.numbers, self.means, self.stds, strict=True)
        ]
        categories = [f"{name} ({len(self.vocabularies[name])} values)" for name in self.categories]
        return ", ".join(numbers + categories)

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {
            name: {label: i for i, label in enumerate(self.vocabularies[name], start=1)} for name in self.categories
        }


def number(row: Row, column: str) -> float | None:
    """The cell as a finite number, None where it is empty. Raises BadRow otherwise."""
    cell: Any = row.cell(column)
    if cell is None:
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        raise row.bad(f"{column} is {spelled(cell)[:40]!r}, which is no number") from None
    if not math.isfinite(value):
        raise row.bad(f"{column} is {spelled(cell)}; leave the cell empty where the number is not known")
    return value


def _category(row: Row, column: str) -> str | None:
    cell = row.cell(column)
    if isinstance(cell, list | tuple | dict | np.ndarray):
        raise row.bad(f"{column} holds a {type(cell).__name__}, not one category")
    if isinstance(cell, float) and math.isnan(cell):
        raise row.bad(f"{column} is NaN; leave the cell empty where the category is not known")
    return None if cell is None else spelled(cell)
