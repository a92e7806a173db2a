"""Texts to byte pairs, by the tokenizers library."""

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from mmjax.data.sources import find
from mmjax.data.tokenizers import published


@dataclasses.dataclass(frozen=True)
class BytePairs:
    """Byte-level byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over all 256 bytes.

    Any text comes back exactly from its ids, in lower case with ``lower``.
    ``limit`` counts all tokens: padding (0), unknown (1, never needed, so that it ends a text where some are
    generated), the bytes and the merges. ``json`` is learned: the tokenizers library's own record, whose ids start
    ``first`` lower, because a text may spell any special token that the library is told of.

    With a ``path``, nothing is trained: the file, of one of the kinds of ``tokenizers.published``, gives ids as they
    were published, from 0. ``end``: the id that ends a text.
    """

    limit: int = 4_096
    lower: bool = False
    path: str = ""
    json: str = ""
    first: int = 2
    end: int = 1

    @property
    def size(self) -> int:
        return max(self.first + self._tokenizer.get_vocab_size(), self.end + 1) if self.json else self.first

    def fit(self, texts: Iterable[str]) -> "BytePairs":
        if self.json:
            return self
        if self.path:
            found = published.read(find(self.path))
            return dataclasses.replace(self, json=found.json, first=0, end=found.end)
        import tokenizers

        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=self.limit - 2,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
        tokenizer.decoder = tokenizers.decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
        if self.lower:
            tokenizer.normalizer = tokenizers.normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
        tokenizer.train_from_iterator(texts, trainer)
        return dataclasses.replace(self, json=tokenizer.to_str())

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int32) + np.int32(self.first)

    def decode(self, ids: Iterable[int]) -> str:
        known = self._tokenizer.get_vocab_size()
        own = (int(i) - self.first for i in ids if int(i) != self.end)
        return self._tokenizer.decode([i for i in own if 0 <= i < known])

    def pieces(self, text: str) -> list[str]:
        """What each id of ``encode`` stands for; a part of a character shows as the replacement character."""
        return [self._tokenizer.decode([i]) for i in self._tokenizer.encode(text, add_special_tokens=False).ids]

    def describe(self) -> str:
        return f"{self.size:,} byte pairs"

    def sizes(self) -> np.ndarray:
        """How many bytes of text each id stands for."""
        names: dict[str, int] = self._tokenizer.get_vocab()
        found = np.zeros(self.size, np.int32)
        for name, i in names.items():  # a byte is one character of a name
            found[i + self.first] = len(name.replace("</w>", " "))
        found[self.end] = 0
        return found

    @cached_property
    def _tokenizer(self) -> Any:
        import tokenizers

        return tokenizers.Tokenizer.from_str(self.json)
