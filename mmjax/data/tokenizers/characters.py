"""Texts to characters."""

import dataclasses
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np


@dataclasses.dataclass(frozen=True)
class Characters:
    """Characters, at most ``limit`` of them, the commonest first in the learned ``vocabulary``.

    A text whose characters are all known comes back exactly. With ``composed``, characters that look alike are one
    (NFC: an accent joins its letter), and with ``lower`` case is nothing. Id 0 is padding, 1 a character that training
    never saw, which comes back as the replacement character; where texts are generated, their end.
    """

    limit: int = 1_000
    lower: bool = False
    composed: bool = False
    vocabulary: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return len(self.vocabulary) + 2

    @property
    def end(self) -> int:
        return 1

    def sizes(self) -> np.ndarray:
        """How many bytes of text each id stands for."""
        return np.array([0, 0, *(len(character.encode("utf-8")) for character in self.vocabulary)], np.int32)

    def fit(self, texts: Iterable[str]) -> "Characters":
        if self.vocabulary:
            return self
        counts = Counter(character for text in texts for character in self.pieces(text))
        common = sorted(counts, key=lambda character: (-counts[character], character))[: self.limit]
        return dataclasses.replace(self, vocabulary=tuple(common))

    def encode(self, text: str) -> np.ndarray:
        return np.array([self._ids.get(character, 1) for character in self.pieces(text)], np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        names = ("", "�", *self.vocabulary)
        return "".join(names[int(i)] for i in ids)

    def pieces(self, text: str) -> list[str]:
        """What each id of ``encode`` stands for."""
        text = unicodedata.normalize("NFC", text) if self.composed else text
        return list(text.lower() if self.lower else text)

    def describe(self) -> str:
        return f"{len(self.vocabulary):,} characters"

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: i for i, character in enumerate(self.vocabulary, start=2)}
