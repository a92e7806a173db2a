"""Texts in which other things have their places, and that have an end."""

import dataclasses
import re
from collections.abc import Iterable, Mapping

import numpy as np

from mmjax.data.tokenizers.byte_pairs import BytePairs
from mmjax.data.tokenizers.characters import Characters
from mmjax.data.tokenizers.raw import Bytes
from mmjax.data.tokenizers.words import Words


@dataclasses.dataclass(frozen=True)
class Marked:
    """A tokenizer whose texts may hold marks, as ``<image>``, and end with a token that stands for nothing else.

    places: how many tokens a mark stands for, by name; all names of a model's encoders belong there, 0 for one whose
    tokens do not stand in the text. A place of the i-th name, sorted, is the id -(1 + i): no word, but room for a token
    of an encoder. The end is the inner tokenizer's own where nothing else has its id, else one id more.
    """

    inner: Words | Characters | Bytes | BytePairs = Words()
    places: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.inner.end if isinstance(self.inner, Bytes | BytePairs) else self.inner.size

    @property
    def size(self) -> int:
        return max(self.inner.size, self.end + 1)

    def fit(self, texts: Iterable[str]) -> "Marked":
        return dataclasses.replace(self, inner=self.inner.fit(texts))

    def encode(self, text: str) -> np.ndarray:
        """Its ids, marks as places."""
        if not self.places:
            return self.plain(text)
        names = sorted(self.places)
        parts = re.split(f"<({'|'.join(map(re.escape, names))})>", text)
        found = [self.place(part) if i % 2 else self.plain(part) for i, part in enumerate(parts)]
        return np.concatenate(found)

    def place(self, name: str) -> np.ndarray:
        """What a mark stands for."""
        return np.full(self.places[name], -1 - sorted(self.places).index(name), np.int32)

    def plain(self, text: str) -> np.ndarray:
        """Ids of a text in which nothing is a mark."""
        return self.inner.encode(text) if text.strip() else np.zeros(0, np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The words alone."""
        return self.inner.decode(int(i) for i in ids if 0 <= int(i) < self.inner.size and int(i) != self.end)

    def pieces(self, text: str) -> list[str]:
        """What each id of ``plain`` stands for."""
        return self.inner.pieces(text)

    def describe(self) -> str:
        return self.inner.describe()

    def sizes(self) -> np.ndarray:
        """How many bytes of text each id stands for; none where words do not tell."""
        if isinstance(self.inner, Words):
            return np.zeros(0, np.int32)
        sizes = np.append(self.inner.sizes(), np.int32(0))[: self.size]
        sizes[self.end] = 0
        return sizes
