"""What every kind of field can do. Nobody inherits from this."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from mmjax.core import Signal
from mmjax.data.sources import Row, Rows


class Field(Protocol):
    """How cells become arrays. Unfitted as a person writes it; ``fit`` fills in what training rows teach.

    A fitted field is plain data, and all that prediction needs to read a person's own files.
    """

    kind: ClassVar[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example in a batch, always the same."""
        ...

    def fit(self, rows: Rows) -> "Field":
        """This field with all learned facts filled in. Raises UserError where the rows do not allow it."""
        ...

    def read(self, row: Row) -> np.ndarray | None:
        """One example in full length, None where it is missing. Raises BadRow where it cannot be read."""
        ...

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        """Examples as one padded, cropped and masked signal of numpy arrays."""
        ...

    def cuts(self, example: np.ndarray) -> bool:
        """Whether ``batch`` will have to shorten this example."""
        ...

    def units(self, example: np.ndarray) -> int:
        """How much of a row it takes, in the unit of the signal's mask, once ``batch`` has shortened it."""
        ...

    def describe(self) -> str:
        """The learned facts in one line, for people."""
        ...


F = TypeVar("F")


def named(field: F, name: str) -> F:
    """The field with its column filled in: by default a modality or target reads the column of its own name."""
    if getattr(field, "column", name) is None:
        return dataclasses.replace(field, column=name)  # pyright: ignore[reportArgumentType]
    return field


def padded(
    examples: Sequence[np.ndarray | None] | np.ndarray, shape: tuple[int, ...], dtype: Any, *, centre: bool
) -> Signal:
    """Sequences of any length as values ``b t ...`` with mask ``b t``; longer ones lose their ends or their tail."""
    length = shape[0]
    if isinstance(examples, np.ndarray) and examples.shape[1:] == shape:
        return Signal(examples.astype(dtype, copy=False), np.ones(examples.shape[:2], bool))
    values = np.zeros((len(examples), *shape), dtype)
    mask = np.zeros((len(examples), length), bool)
    for i, example in enumerate(examples):
        if example is None:
            continue
        example = cropped(example, length, centre=centre)
        values[i, : len(example)] = example
        mask[i, : len(example)] = True
    return Signal(values, mask)


def cropped(example: np.ndarray, length: int, *, centre: bool) -> np.ndarray:
    """At most ``length`` of a sequence: its centre or its start."""
    start = max(0, len(example) - length) // 2 if centre else 0
    return example[start : start + length]


def spread(total: float, squares: float, count: float) -> tuple[float, float]:
    """Mean and standard deviation from sums; a deviation of nothing becomes 1, so that constants divide safely."""
    mean = total / max(count, 1)
    variance = max(squares / max(count, 1) - mean * mean, 0.0)
    std = variance**0.5
    return mean, std if std > 1e-6 * max(1.0, abs(mean)) else 1.0
