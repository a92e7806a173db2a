"""Texts to byte pairs, by the tokenizers library."""

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class BytePairs:
    """Byte-level byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over all 256 bytes.

    Any text comes back exactly from its ids, in lower case with ``lower``.
    ``limit`` counts all tokens: padding (0), unknown (1, never needed),
    the bytes and the merges. ``json`` is learned: the tokenizers library's own record, whose ids start 2 lower,
    because a text may spell any special token that the library is told of.
    """

    limit: int = 4_096
    lower: bool = False
    json: str = ""

    @property
    def size(self) -> int:
        return 2 + (self._tokenizer.get_vocab_size() if self.json else 0)

    def fit(self, texts: Iterable[str]) -> "BytePairs":
        if self.json:
            return self
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
        return np.array(self._tokenizer.encode(text).ids, np.int32) + np.int32(2)

    def decode(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode([int(i) - 2 for i in ids if int(i) > 1])

    def pieces(self, text: str) -> list[str]:
        """What each id of ``encode`` stands for; a part of a character shows as the replacement character."""
        return [self._tokenizer.decode([i]) for i in self._tokenizer.encode(text).ids]

    def describe(self) -> str:
        return f"{self.size:,} byte pairs"

    @cached_property
    def _tokenizer(self) -> Any:
        import tokenizers

        return tokenizers.Tokenizer.from_str(self.json)
