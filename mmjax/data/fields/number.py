"""Answers by measure."""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import spread
from mmjax.data.fields.table import number
from mmjax.data.sources import Row, Rows


@dataclasses.dataclass(frozen=True)
class Number:
    """One number a row, standardised by the training rows' mean and deviation; an empty cell is no answer: masked."""

    column: str | None = None
    mean: float | None = None
    std: float | None = None

    kind: ClassVar[str] = "number"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def fit(self, rows: Rows) -> "Number":
        values = list(rows.each(lambda row: number(row, self.column or "")))
        if not values:
            raise UserError(f"no training row has a number in column {self.column!r}")
        mean, std = spread(math.fsum(values), math.fsum(v * v for v in values), len(values))
        return dataclasses.replace(
            self, mean=mean if self.mean is None else self.mean, std=std if self.std is None else self.std
        )

    def read(self, row: Row) -> np.ndarray | None:
        found = number(row, self.column or "")
        return None if found is None else np.asarray((found - (self.mean or 0.0)) / (self.std or 1.0), np.float32)

    def restore(self, values: np.ndarray) -> np.ndarray:
        """What a model says, in the unit of the column."""
        return np.asarray(values) * (self.std or 1.0) + (self.mean or 0.0)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        if isinstance(examples, np.ndarray):
            return Signal(examples.astype(np.float32, copy=False), np.ones(len(examples), bool))
        mask = np.array([example is not None for example in examples], bool)
        return Signal(np.array([0.0 if example is None else float(example) for example in examples], np.float32), mask)

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return 1

    def describe(self) -> str:
        return f"a number, {self.mean:.4g}±{self.std:.3g}"
