"""Stretches of running text, and the word that follows each word of them."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal
from mmjax.data.sources import Row, Rows
from mmjax.data.tokenizers import BytePairs, Bytes, Characters

TOKENS = "tokens"  # the column: an array n 2 of ids and the number, from 1, of the document that each is of


@dataclasses.dataclass(frozen=True)
class Passage:
    """``length`` token ids. ``packed``: of several documents, each a segment with positions of its own."""

    tokenizer: Bytes | Characters | BytePairs
    length: int
    packed: bool = False

    kind: ClassVar[str] = "text"

    @property
    def columns(self) -> tuple[str, ...]:
        return (TOKENS,)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def size(self) -> int:
        """Rows of the embedding that the ids need."""
        return self.tokenizer.size

    def fit(self, rows: Rows) -> "Passage":
        return self

    def read(self, row: Row) -> np.ndarray | None:
        cell: Any = row.cell(TOKENS)
        return cell

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        ids, documents = together(examples, self.length)
        ids, documents = ids[:, :-1], documents[:, :-1]
        mask = documents > 0
        if not self.packed:
            return Signal(np.where(mask, ids, 0), mask)
        places = np.broadcast_to(np.arange(self.length, dtype=np.int32), ids.shape)
        begins = np.diff(documents, axis=1, prepend=-1) != 0
        starts = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
        return Signal(np.where(mask, ids, 0), mask, segments=documents, positions=places - starts)

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return min(len(example), self.length)

    def describe(self) -> str:
        return f"{self.tokenizer.describe()}, {self.length} a row" + (", documents packed" if self.packed else "")


@dataclasses.dataclass(frozen=True)
class Next:
    """The word that follows each word of a passage in its own document; answers ``b n`` of which the last may be known.

    ``tokenizer`` tells how many bytes of text each word stands for.
    """

    tokenizer: Bytes | Characters | BytePairs
    length: int

    kind: ClassVar[str] = "words"

    @property
    def columns(self) -> tuple[str, ...]:
        return (TOKENS,)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    def fit(self, rows: Rows) -> "Next":
        return self

    def read(self, row: Row) -> np.ndarray | None:
        cell: Any = row.cell(TOKENS)
        return cell

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        ids, documents = together(examples, self.length)
        mask = (documents[:, 1:] > 0) & (documents[:, 1:] == documents[:, :-1])
        return Signal(np.where(mask, ids[:, 1:], 0), mask)

    def cuts(self, example: np.ndarray) -> bool:
        return False

    def units(self, example: np.ndarray) -> int:
        return self.length

    def describe(self) -> str:
        return "the word that follows"


def together(examples: Sequence[np.ndarray | None] | np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and documents ``b length + 1``, 0 where there is nothing."""
    both = np.zeros((2, len(examples), length + 1), np.int32)
    for i, example in enumerate(examples):
        if example is not None:
            both[:, i, : len(example)] = example.T
    return both[0], both[1]
