"""Texts side by side, between tokens that no text can spell."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from mmjax.data.tokenizers.byte_pairs import BytePairs
from mmjax.data.tokenizers.characters import Characters
from mmjax.data.tokenizers.marked import Marked
from mmjax.data.tokenizers.raw import Bytes
from mmjax.data.tokenizers.words import Words


@dataclasses.dataclass(frozen=True)
class Delimited:
    """A tokenizer with three tokens more: ``start``, ``delimiter`` and ``extract``, as GPT-1 was fine-tuned with.

    The start is what elsewhere ends a text (``Marked``). With GPT-1's words the three are 40,478, 40,479 and 40,480.
    """

    inner: Words | Characters | Bytes | BytePairs = Words()

    @property
    def start(self) -> int:
        return self._marked.end

    @property
    def delimiter(self) -> int:
        return self._marked.size

    @property
    def extract(self) -> int:
        return self._marked.size + 1

    @property
    def end(self) -> int:
        """What ends a text elsewhere."""
        return self.start

    @property
    def size(self) -> int:
        return self._marked.size + 2

    def fit(self, texts: Iterable[str]) -> "Delimited":
        return dataclasses.replace(self, inner=self.inner.fit(texts))

    def encode(self, text: str) -> np.ndarray:
        return self._marked.plain(text)

    def joined(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Ids of the start, of the texts with delimiters between them, and of the extract."""
        parts = [np.array([self.start])]
        for i, text in enumerate(texts):
            parts += [np.array([self.delimiter])] * (i > 0) + [text]
        return np.concatenate([*parts, np.array([self.extract])]).astype(np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The words alone."""
        return self._marked.decode(ids)

    def pieces(self, text: str) -> list[str]:
        """What each id of ``encode`` stands for."""
        return self.inner.pieces(text)

    def describe(self) -> str:
        return self.inner.describe()

    def sizes(self) -> np.ndarray:
        """How many bytes of text each id stands for; none where words do not tell."""
        sizes = self._marked.sizes()
        return np.append(sizes, np.zeros(2, np.int32)) if len(sizes) else sizes

    @property
    def _marked(self) -> Marked:
        return Marked(self.inner)
