"""Texts, by a tokenizer."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import padded
from mmjax.data.sources import Row, Rows
from mmjax.data.tokenizers import BytePairs, Characters, Words

_LONGEST = 512  # tokens; the longest window that nobody asked for


@dataclasses.dataclass(frozen=True)
class Text:
    """A text as token ids; 0 is padding and 1 an unknown token.

    ``length`` None is the longest training text, at most 512 tokens; a longer text loses its end.
    A text without any token, such as an empty cell, is missing.
    """

    column: str | None = None
    tokenizer: Words | Characters | BytePairs = Words()
    length: int | None = None

    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        if self.length is not None and self.length <= 0:
            raise UserError(f"fields.Text: length is {self.length}; it must be above 0")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        if self.length is None:
            raise UserError("fields.Text has no length yet; fit it on training rows")
        return (self.length,)

    @property
    def size(self) -> int:
        """Rows of the embedding that the ids need, padding and unknown counted in."""
        return self.tokenizer.size

    def fit(self, rows: Rows) -> "Text":
        distinct = rows.distinct(self.column or "")
        texts = list(rows.each(lambda row: written(row, self.column or "")))
        if not texts:
            raise UserError(f"no training row has a text in column {self.column!r}")
        fitted = dataclasses.replace(self, tokenizer=self.tokenizer.fit(texts))
        if self.length is None:
            longest = max((len(ids) for ids in distinct.each(fitted.read)), default=1)
            fitted = dataclasses.replace(fitted, length=min(_LONGEST, longest))
        return fitted

    def read(self, row: Row) -> np.ndarray | None:
        text = written(row, self.column or "")
        if text is None:
            return None
        ids = self.tokenizer.encode(text)
        return ids if len(ids) else None

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        return padded(examples, self.shape, np.int32, centre=False)

    def laid(self, example: np.ndarray) -> np.ndarray:
        """What stands in a row that it shares with others: ``units(example)`` along the first axis."""
        return example[: self.shape[0]]

    def cuts(self, example: np.ndarray) -> bool:
        return len(example) > self.shape[0]

    def units(self, example: np.ndarray) -> int:
        return min(len(example), self.shape[0])

    def describe(self) -> str:
        return f"{self.tokenizer.describe()}, up to {self.length} a text"


def written(row: Row, column: str) -> str | None:
    """The cell as text, None where it is empty. Raises BadRow for one that is none."""
    cell = row.cell(column)
    if cell is None:
        return None
    if isinstance(cell, bytes):
        try:
            cell = cell.decode("utf-8")
        except UnicodeDecodeError:
            raise row.bad(f"{column} is not UTF-8") from None
    if isinstance(cell, bool | int | float):
        cell = str(cell)
    if not isinstance(cell, str):
        raise row.bad(f"{column} is no text but a {type(cell).__name__}")
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        raise row.bad(f"{column} holds half a character (a lone surrogate)") from None
    return cell
