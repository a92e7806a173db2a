"""A prompt with several answers, of which people said which is better."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal, UserError, segments
from mmjax.data.fields.prompt import Prompt, Reply
from mmjax.data.sources import Row, Rows

Example = np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Ranked:
    """``prompt`` with each of several ``answers``, the best first: what ``objectives.Preference`` and ``Ranking`` want.

    answers: templates as ``Prompt.answer``, two or more; that of the prompt itself is not read. One whose column is
    empty is missing, as where some rows have fewer answers than others. Each answer stands behind a prompt of its own,
    as segments 1, 2, ... of one row with positions of their own, so that none sees another. Ids are ``b k * t``, with t
    as of the prompt. ``Answers`` and ``Worth`` are the targets beside it.
    """

    prompt: Prompt
    answers: tuple[str, ...] = ("{chosen}", "{rejected}")

    kind: ClassVar[str] = "prompt"

    def __post_init__(self) -> None:
        if len(self.answers) < 2:
            raise UserError(f"fields.Ranked: answers={self.answers!r} must be two or more, the best first")

    @property
    def ways(self) -> list[Prompt]:
        """The prompt with each of the answers."""
        return [dataclasses.replace(self.prompt, answer=answer) for answer in self.answers]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column for way in self.ways for column in way.columns))

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns of the prompt alone."""
        return self.prompt.asked

    @property
    def room(self) -> dict[str, int]:
        """How many places each prompt has for tokens of each encoder."""
        return self.prompt.room

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.answers) * self.prompt.shape[0],)

    @property
    def size(self) -> int:
        """Rows of the embedding that the ids need."""
        return self.prompt.size

    @property
    def tokenizer(self) -> Any:
        return self.prompt.tokenizer

    def fit(self, rows: Rows) -> "Ranked":
        return dataclasses.replace(self, prompt=self.prompt.fitted(rows, self.answers))

    def prompted(self, text: str) -> np.ndarray:
        """Ids of a prompt that a person wrote, as ``Prompt`` has them."""
        return self.prompt.prompted(text)

    def answered(self, prompt: str, answer: str) -> np.ndarray:
        """``n 2``, as ``Prompt.read`` gives: the words of a whole prompt, without places, and those of an answer."""
        tokenizer = self.tokenizer
        asked = tokenizer.plain(prompt) if prompt.strip() else np.array([tokenizer.end], np.int32)
        reply = np.append(tokenizer.plain(answer), tokenizer.end)
        ids = np.concatenate([asked, reply]).astype(np.int32)
        return np.stack([ids, (np.arange(len(ids)) >= len(asked)).astype(np.int32)], axis=1)

    def read(self, row: Row) -> Example:
        """``n 3``: ids, which are of an answer (1), and the number of the answer that each goes with, from 1."""
        found = []
        for number, way in enumerate(self.ways, start=1):
            if way.answers(row) is not None:
                own = way.read(row)
                found.append(np.concatenate([own, np.full((len(own), 1), number, np.int32)], axis=1))
        return np.concatenate(found) if found else None

    def batch(self, examples: Sequence[Example] | np.ndarray) -> Signal:
        return segments.beside([self.prompt.batch(each) for each in self.apart(examples)], np)

    def apart(self, examples: Sequence[Example] | np.ndarray) -> list[list[Example]]:
        """For each answer its part of every example, as a ``Prompt`` reads it; None where there is none."""
        return [
            [None if one is None or number not in one[:, 2] else one[one[:, 2] == number, :2] for one in examples]
            for number in range(1, len(self.answers) + 1)
        ]

    def cuts(self, example: np.ndarray) -> bool:
        return any(part is not None and self.prompt.cuts(part) for (part,) in self.apart([example]))

    def units(self, example: np.ndarray) -> int:
        return self.shape[0]

    def describe(self) -> str:
        return f"{self.prompt.describe()}, {len(self.answers)} answers of a prompt"


@dataclasses.dataclass(frozen=True)
class _Beside:
    """A target beside ``ranked``, which reads the same columns and learns with it."""

    ranked: Ranked

    @property
    def columns(self) -> tuple[str, ...]:
        return self.ranked.columns

    def fit(self, rows: Rows) -> Any:
        return dataclasses.replace(self, ranked=self.ranked.fit(rows))

    def read(self, row: Row) -> Example:
        return self.ranked.read(row)

    def cuts(self, example: np.ndarray) -> bool:
        return self.ranked.cuts(example)


@dataclasses.dataclass(frozen=True)
class Answers(_Beside):
    """For each token of ``ranked`` the one that follows, known within the answers alone: targets and mask ``b k * t``,
    segments as of the text."""

    kind: ClassVar[str] = "words"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.ranked.shape

    @property
    def tokenizer(self) -> Any:
        return self.ranked.tokenizer

    def batch(self, examples: Sequence[Example] | np.ndarray) -> Signal:
        one = Reply(self.ranked.prompt)
        joined = segments.beside([one.batch(each) for each in self.ranked.apart(examples)], np)
        return Signal(joined.values, joined.mask, segments=joined.segments)

    def units(self, example: np.ndarray) -> int:
        return self.ranked.units(example)

    def describe(self) -> str:
        return "the answers' words"


@dataclasses.dataclass(frozen=True)
class Worth(_Beside):
    """What each answer of ``ranked`` is worth beside the others: ``b k``, the best k, the last 1; masked where there is
    none. Only which of two is more means anything."""

    kind: ClassVar[str] = "ranks"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.ranked.answers),)

    def batch(self, examples: Sequence[Example] | np.ndarray) -> Signal:
        many = len(self.ranked.answers)
        there = np.array([[part is not None for part in each] for each in self.ranked.apart(examples)], bool)
        mask = there.reshape(many, -1).T
        return Signal(np.where(mask, np.arange(many, 0, -1, dtype=np.int32), 0), mask)

    def units(self, example: np.ndarray) -> int:
        return len(self.ranked.answers)

    def describe(self) -> str:
        return f"the order of {len(self.ranked.answers)} answers"
