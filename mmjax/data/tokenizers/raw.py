"""Texts to bytes."""

import dataclasses
from collections.abc import Iterable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Bytes:
    """The bytes of UTF-8, each 2 higher: id 0 is padding, 1 the end of a text. Nothing is to be learned or unknown."""

    @property
    def size(self) -> int:
        return 258

    @property
    def end(self) -> int:
        return 1

    def fit(self, texts: Iterable[str]) -> "Bytes":
        return self

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int32) + np.int32(2)

    def decode(self, ids: Iterable[int]) -> str:
        """The text; a part of a character shows as the replacement character."""
        return bytes(int(i) - 2 for i in ids if 1 < int(i) < self.size).decode("utf-8", "replace")

    def pieces(self, text: str) -> list[str]:
        """What each id of ``encode`` stands for."""
        return [self.decode([i]) for i in self.encode(text)]

    def describe(self) -> str:
        return "bytes"

    def sizes(self) -> np.ndarray:
        """How many bytes of text each id stands for."""
        return (np.arange(self.size) > 1).astype(np.int32)
