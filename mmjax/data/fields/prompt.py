"""A prompt made of a row's cells, and what is to be answered."""

import collections
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.text import written
from mmjax.data.sources import Row, Rows, nearest
from mmjax.data.tokenizers import BytePairs, Bytes, Characters, Marked, Words

_LONGEST = 512  # tokens; the longest that nobody asked for
_PARTS = re.compile(r"\{([^{}]*)\}|<(\w+)>")


@dataclasses.dataclass(frozen=True)
class Prompt:
    """``"<image>question: {question} answer:"`` and the answer, as one row of token ids.

    template: braces name columns, ``<name>`` stands for as many places as ``places`` has for it (``tokenizers.Marked``,
    where ids below 0 are explained). answer: a template of the same kind without marks; none, or one of whose columns
    is empty in a row, and the row has only its prompt. A cell that is a list holds several answers that are right, of
    which the first is learned. Without any token a prompt is the end of the text before.

    length, reply: the most tokens of a prompt and of an answer, its end counted in; None is the longest in training, at
    most 512. A longer prompt loses its first words, never a place; a longer answer its last ones.

    Ids are ``b t`` with t = length + reply - 1: the last token is only an answer. ``Reply`` is the target beside it.
    """

    template: str
    answer: str = "{answer}"
    tokenizer: Words | Characters | Bytes | BytePairs | Marked = Words()
    places: Mapping[str, int] = dataclasses.field(default_factory=dict)
    length: int | None = None
    reply: int | None = None

    kind: ClassVar[str] = "prompt"

    def __post_init__(self) -> None:
        for _, mark in _PARTS.findall(self.template):
            if mark and mark not in self.places:
                raise UserError(f"fields.Prompt: places lacks the mark <{mark}>{nearest(mark, self.places)}")
        for name, count in self.places.items():
            if count and not self.room[name]:
                raise UserError(f"fields.Prompt: places has {name}={count}, but the template has no <{name}>")
        for template in (self.template, self.answer):
            if re.search("[{}]", _PARTS.sub("", template)) or "{}" in template:
                raise UserError(f"fields.Prompt: {template!r} has a brace that names no column")
        for name in ("length", "reply"):
            least = max(1, sum(self.room.values())) if name == "length" else 1
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise UserError(f"fields.Prompt: {name} is {getattr(self, name)}; it must be {least} or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.asked, *_columns(self.answer)))) or ("",)

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns of the prompt alone."""
        return tuple(dict.fromkeys(_columns(self.template)))

    @property
    def room(self) -> dict[str, int]:
        """How many places the template has for tokens of each encoder."""
        marks = [mark for _, mark in _PARTS.findall(self.template) if mark]
        return {name: count * marks.count(name) for name, count in self.places.items()}

    @property
    def shape(self) -> tuple[int, ...]:
        if self.length is None or self.reply is None:
            raise UserError("fields.Prompt has no length yet; fit it on training rows")
        return (self.length + self.reply - 1,)

    @property
    def size(self) -> int:
        """Rows of the embedding that the ids need."""
        return self.tokenizer.size

    def fit(self, rows: Rows) -> "Prompt":
        return self.fitted(rows, (self.answer,))

    def fitted(self, rows: Rows, answers: Sequence[str]) -> "Prompt":
        """Fit for answers by any of these templates."""
        ways = [dataclasses.replace(self, answer=answer) for answer in answers]
        replies = [one for way in ways for found in rows.each(way.answers) for one in found]
        if any(answers) and not replies:
            raise UserError(f"no training row has an answer in {', '.join(map(repr, answers))}")
        asked = [text for texts in rows.each(self._texts) for text in texts]
        inner = self.tokenizer.inner if isinstance(self.tokenizer, Marked) else self.tokenizer
        tokenizer = Marked(inner.fit([*asked, *replies]), self.places)
        ways = [dataclasses.replace(way, tokenizer=tokenizer) for way in ways]
        kinds = [example[:, 1] for way in ways for example in rows.each(way.read)]
        longest = max(int((kind == 0).sum()) for kind in kinds), max(int(kind.sum()) for kind in kinds)
        found = {
            name: most if (most := getattr(self, name)) is not None else min(_LONGEST, max(1, long))
            for name, long in zip(("length", "reply"), longest, strict=True)
        }
        return dataclasses.replace(self, tokenizer=tokenizer, **found)

    def asking(self) -> "Prompt":
        """The same for rows whose answers are asked for, even where they are known."""
        return dataclasses.replace(self, answer="")

    def answers(self, row: Row) -> tuple[str, ...] | None:
        """All that would be right; None where nothing is said to be."""
        columns = _columns(self.answer)
        cells = {column: row.cell(column) for column in columns}
        if not self.answer or any(cell is None for cell in cells.values()):
            return None
        several = [column for column, cell in cells.items() if isinstance(cell, list | tuple)]
        if not several:
            return (_filled(self.answer, row),)
        if len(columns) > 1:
            raise row.bad(f"{several[0]} is a list, and the answer has other columns, too")
        lists = [dataclasses.replace(row, cells={**row.cells, several[0]: one}) for one in cells[several[0]]]
        return tuple(_filled(self.answer, one) for one in lists) or None

    def read(self, row: Row) -> np.ndarray:
        """``n 2``: ids, and which are of the answer (1)."""
        tokenizer = self._marked
        texts = iter(self._texts(row))
        pieces = [
            tokenizer.place(part[1:-1]) if _is_mark(part) else tokenizer.plain(next(texts)) for part in self._parts
        ]
        prompt = np.concatenate([np.zeros(0, np.int32), *pieces])
        prompt = prompt if len(prompt) else np.array([tokenizer.end], np.int32)
        answers = self.answers(row)
        reply = np.zeros(0, np.int32) if answers is None else np.append(tokenizer.plain(answers[0]), tokenizer.end)
        ids = np.concatenate([prompt, reply]).astype(np.int32)
        return np.stack([ids, (np.arange(len(ids)) >= len(prompt)).astype(np.int32)], axis=1)

    def prompted(self, text: str) -> np.ndarray:
        """Ids of a prompt that a person wrote.

        It is the cell of the template's one column, or follows a template without any. With marks of its own, or where
        the template has several columns, it is the whole prompt.
        """
        tokenizer, template = self._marked, self.asking()
        if len(self.asked) > 1 or any(f"<{name}>" in text for name in self.places):
            ids = tokenizer.encode(text)
        elif self.asked:
            ids = template.read(Row({self.asked[0]: text}, "the prompt", 1))[:, 0]
        else:
            begun = template.read(Row({}, "the prompt", 1))[:, 0]
            ids = np.concatenate([begun, tokenizer.plain(text)])
        return ids if len(ids) else np.array([tokenizer.end], np.int32)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        ids, kinds = self.together(examples)
        last = (kinds == 1) & (np.cumsum(kinds[:, ::-1] == 1, axis=1)[:, ::-1] == 1)  # the last token of each answer
        mask = (kinds >= 0) & ~last
        return Signal(np.where(mask, ids, 0)[:, :-1], mask[:, :-1])

    def together(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids ``b t + 1``, and whether each is of the prompt (0), of the answer (1), or nothing (-1)."""
        both = np.zeros((2, len(examples), self.shape[0] + 1), np.int32)
        both[1] = -1
        for i, example in enumerate(examples):
            if example is not None:
                example = self._cropped(example)
                both[:, i, : len(example)] = example.T
        return both[0], both[1]

    def cuts(self, example: np.ndarray) -> bool:
        return len(self._cropped(example)) < len(example)

    def units(self, example: np.ndarray) -> int:
        return len(self._cropped(example))

    def describe(self) -> str:
        return f"{self.tokenizer.describe()}, up to {self.length} a prompt and {self.reply} an answer"

    def _cropped(self, example: np.ndarray) -> np.ndarray:
        assert self.length is not None and self.reply is not None
        asked = example[:, 1] == 0
        words = np.flatnonzero(asked & (example[:, 0] >= 0))
        kept = np.ones(len(example), bool)
        kept[words[: max(0, int(asked.sum()) - self.length)]] = False
        kept[int(asked.sum()) + self.reply :] = False
        return example[kept]

    @property
    def _parts(self) -> list[str]:
        """The template between its marks, and these."""
        return [part for part in re.split(r"(<\w+>)", self.template) if part]

    def _texts(self, row: Row) -> list[str]:
        return [_filled(part, row) for part in self._parts if not _is_mark(part)]

    @property
    def _marked(self) -> Marked:
        if not isinstance(self.tokenizer, Marked):
            raise UserError("fields.Prompt has no words yet; fit it on training rows")
        return self.tokenizer


@dataclasses.dataclass(frozen=True)
class Reply:
    """For each token of a ``prompt`` the one that follows, known within the answer alone: targets and mask ``b t``.

    by: a column whose cells tell groups of rows apart when answers are measured. ``common`` is learned: the commonest
    answer of all rows, by the name "", and of each group. together: a column whose equal cells belong together, as the
    picture that several rows ask about: rows that tell less than as many about pictures of their own.
    """

    prompt: Prompt
    by: str = ""
    together: str = ""
    common: Mapping[str, str] = dataclasses.field(default_factory=dict)

    kind: ClassVar[str] = "words"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.prompt.columns, *filter(None, (self.by, self.together)))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.prompt.shape

    @property
    def tokenizer(self) -> Any:
        return self.prompt.tokenizer

    def fit(self, rows: Rows) -> "Reply":
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for group, answer in rows.each(self._told):
            for name in {"", group}:
                counts[name][answer] += 1
        common = {name: min(each, key=lambda text: (-each[text], text)) for name, each in sorted(counts.items())}
        return dataclasses.replace(self, prompt=self.prompt.fit(rows), common=common)

    def read(self, row: Row) -> np.ndarray | None:
        return None if self.prompt.answers(row) is None else self.prompt.read(row)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        ids, kinds = self.prompt.together(examples)
        mask = kinds[:, 1:] == 1
        return Signal(np.where(mask, ids[:, 1:], 0), mask)

    def cuts(self, example: np.ndarray) -> bool:
        return self.prompt.cuts(example)

    def units(self, example: np.ndarray) -> int:
        return self.prompt.units(example)

    def group(self, row: Row) -> str:
        """What the row belongs to; "" for nothing."""
        return "" if not self.by else written(row, self.by) or ""

    def tie(self, row: Row) -> str:
        """What the row stays together with; "" for nothing."""
        return "" if not self.together else written(row, self.together) or ""

    def describe(self) -> str:
        return f"the answer, most often {self.common.get('', '')!r}"

    def _told(self, row: Row) -> tuple[str, str] | None:
        answers = self.prompt.answers(row)
        return None if answers is None else (self.group(row), answers[0])


def _columns(template: str) -> list[str]:
    return [column for column, _ in _PARTS.findall(template) if column]


def _filled(template: str, row: Row) -> str:
    return re.sub(r"\{([^{}]*)\}", lambda found: written(row, found[1]) or "", template)


def _is_mark(part: str) -> bool:
    return re.fullmatch(r"<\w+>", part) is not None
