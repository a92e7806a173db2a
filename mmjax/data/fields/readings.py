"""Texts that a question is about, side by side, in each of the ways in which they are to be read."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.text import written
from mmjax.data.sources import Row, Rows
from mmjax.data.tokenizers import BytePairs, Bytes, Characters, Delimited, Words

_LONGEST = 512  # tokens of a reading; the longest that nobody asked for


@dataclasses.dataclass(frozen=True)
class Readings:
    """The structured inputs of GPT-1 (Radford et al., 2018, section 3.3), by which one decoder does many tasks.

    https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    ``ways`` names columns. A reading is a start token, the texts of its columns with delimiters between them, and an
    extract token, at which ``heads.Extract`` and ``heads.Choose`` read:

    ============== ==================================================
    classification ``(("text",),)``
    entailment     ``(("premise", "hypothesis"),)``
    similarity     ``(("one", "other"), ("other", "one"))``
    choice         ``(("story", "end_a"), ("story", "end_b"))``
    ============== ==================================================

    Ids are ``b n`` with n = ways * length. Of several readings each is a segment with positions of its own, so that
    none sees another. A reading whose last column is empty is missing. ``length``: the most tokens of a reading, None
    for the longest in training, at most 512; in a longer one the longest texts lose their ends. A decoder needs
    ``size`` words; to begin with what another run learned, that run's decoder does, too.
    """

    ways: tuple[tuple[str, ...], ...]
    tokenizer: Words | Characters | Bytes | BytePairs | Delimited = Words()
    length: int | None = None

    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        if not self.ways or not all(self.ways):
            raise UserError(f"fields.Readings: ways={self.ways!r} must name a column or more for each reading")
        least = 2 * max(map(len, self.ways)) + 1
        if self.length is not None and self.length < least:
            raise UserError(f"fields.Readings: length is {self.length}; with its delimiters it must be {least} or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column for way in self.ways for column in way))

    @property
    def shape(self) -> tuple[int, ...]:
        if self.length is None:
            raise UserError("fields.Readings has no length yet; fit it on training rows")
        return (len(self.ways) * self.length,)

    @property
    def size(self) -> int:
        """Rows of the embedding that the ids need."""
        return self.tokenizer.size

    def fit(self, rows: Rows) -> "Readings":
        texts = [text for found in rows.each(self._texts) for text in found]
        if not texts:
            raise UserError(f"no training row has a text in {', '.join(self.columns)}")
        inner = self.tokenizer.inner if isinstance(self.tokenizer, Delimited) else self.tokenizer
        fitted = dataclasses.replace(self, tokenizer=Delimited(inner.fit(texts)))
        longest = max((fitted._longest(example) for example in rows.each(fitted.read)), default=1)
        least = 2 * max(map(len, self.ways)) + 1
        return dataclasses.replace(fitted, length=self.length or min(_LONGEST, max(least, longest)))

    def read(self, row: Row) -> np.ndarray | None:
        """``n 2``: ids, and the number, from 1, of the reading that each is of; None where there is no reading."""
        own, cells = self._delimited, {column: written(row, column) for column in self.columns}
        found = []
        for number, way in enumerate(self.ways, start=1):
            if cells[way[-1]]:
                ids = own.joined([own.encode(cells[column] or "") for column in way])
                found.append(np.stack([ids, np.full_like(ids, number)], axis=1))
        return np.concatenate(found) if found else None

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        ids, numbers = self.together(examples)
        if len(self.ways) == 1:
            return Signal(ids, numbers > 0)
        places = np.arange(self.shape[0], dtype=np.int32) % (self.shape[0] // len(self.ways))
        return Signal(ids, numbers > 0, segments=numbers, positions=np.broadcast_to(places, ids.shape).copy())

    def together(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids and the numbers of their readings ``b n``, 0 where there is nothing; each reading has its own place."""
        length = self.shape[0] // len(self.ways)
        both = np.zeros((2, len(examples), self.shape[0]), np.int32)
        for i, example in enumerate(examples):
            if example is None:
                continue
            for number in np.unique(example[:, 1]):
                own = self._cropped(example[example[:, 1] == number, 0], length)
                at = (number - 1) * length
                both[0, i, at : at + len(own)], both[1, i, at : at + len(own)] = own, number
        return both[0], both[1]

    def cuts(self, example: np.ndarray) -> bool:
        return self._longest(example) > self.shape[0] // len(self.ways)

    def units(self, example: np.ndarray) -> int:
        return self.shape[0]

    def describe(self) -> str:
        return f"{self.tokenizer.describe()}, up to {self.length} a reading, {len(self.ways)} of them"

    def _cropped(self, ids: np.ndarray, length: int) -> np.ndarray:
        """At most so many tokens of a reading: its longest texts are made as short as the others before these are."""
        if len(ids) <= length:
            return ids
        texts = np.split(ids[1:-1], np.flatnonzero(ids[1:-1] == self._delimited.delimiter))
        texts = [text[i > 0 :] for i, text in enumerate(texts)]  # without the delimiter that each but the first has
        room, sizes = length - 1 - len(texts), [len(text) for text in texts]
        while sum(sizes) > room:
            sizes[int(np.argmax(sizes))] -= 1
        return self._delimited.joined([text[:size] for text, size in zip(texts, sizes, strict=True)])

    def _longest(self, example: np.ndarray) -> int:
        return int(np.bincount(example[:, 1]).max())

    def _texts(self, row: Row) -> list[str]:
        return [text for column in self.columns if (text := written(row, column))]

    @property
    def _delimited(self) -> Delimited:
        if not isinstance(self.tokenizer, Delimited):
            raise UserError("fields.Readings has no words yet; fit it on training rows")
        return self.tokenizer


@dataclasses.dataclass(frozen=True)
class Follows:
    """For each token of ``readings`` the one that follows in the same reading: the auxiliary target of fine-tuning.

    Targets and mask ``b n``; nothing follows an extract token.
    """

    readings: Readings

    kind: ClassVar[str] = "words"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.readings.columns

    @property
    def shape(self) -> tuple[int, ...]:
        return self.readings.shape

    @property
    def tokenizer(self) -> Any:
        return self.readings.tokenizer

    def fit(self, rows: Rows) -> "Follows":
        return dataclasses.replace(self, readings=self.readings.fit(rows))

    def read(self, row: Row) -> np.ndarray | None:
        return self.readings.read(row)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        ids, numbers = self.readings.together(examples)
        mask = np.zeros(ids.shape, bool)
        mask[:, :-1] = (numbers[:, 1:] > 0) & (numbers[:, 1:] == numbers[:, :-1])
        return Signal(np.where(mask, np.roll(ids, -1, axis=1), 0), mask)

    def cuts(self, example: np.ndarray) -> bool:
        return self.readings.cuts(example)

    def units(self, example: np.ndarray) -> int:
        return self.readings.units(example)

    def describe(self) -> str:
        return "the word that follows"
