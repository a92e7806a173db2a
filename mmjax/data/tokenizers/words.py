"""Texts to words, in any script."""

import dataclasses
import functools
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data.sources import nearest

# Letters, marks, digits and joiners run together, with an apostrophe between letters and a point or comma between
# digits. Scripts written without spaces give a word a character. A pictograph is a word.
_WORD = (
    r"\p{N}+(?:[.,]\p{N}+)+(?![\p{L}\p{M}])"
    r"|[\p{Han}\p{Hiragana}]\p{M}*"
    r"|(?:(?![\p{Han}\p{Hiragana}])[\p{L}\p{M}\p{N}\p{Pc}])+"
    r"(?:['\u2019](?:(?![\p{Han}\p{Hiragana}])[\p{L}\p{M}\p{N}])+)*"
    r"|[\u2600-\u27BF\x{1F300}-\x{1FAFF}]"
)


@dataclasses.dataclass(frozen=True)
class Words:
    """Words of any script, composed (NFC), lower-cased unless ``lower`` is False, at most ``limit`` of them.

    ``stem`` names a Snowball language ("english", "turkish", ...); ``stop`` is "english" (scikit-learn's list) or
    a tuple of words to leave out. ``vocabulary`` is learned: the commonest first. Id 0 is padding, 1 an unknown word.
    """

    limit: int = 10_000
    lower: bool = True
    stem: str = ""
    stop: str | tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.stem:
            import snowballstemmer

            known = snowballstemmer.algorithms()
            if self.stem not in known:
                raise UserError(f"Words: stem {self.stem!r} is no Snowball language{nearest(self.stem, known)}")
        if isinstance(self.stop, str) and self.stop not in ("", "english"):
            raise UserError(f"Words: stop {self.stop!r} is neither 'english' nor a tuple of words")

    @property
    def size(self) -> int:
        return len(self.vocabulary) + 2

    def fit(self, texts: Iterable[str]) -> "Words":
        if self.vocabulary:
            return self
        counts = Counter(word for text in texts for word in self.pieces(text))
        common = sorted(counts, key=lambda word: (-counts[word], word))[: self.limit]
        return dataclasses.replace(self, vocabulary=tuple(common))

    def encode(self, text: str) -> np.ndarray:
        return np.array([self._ids.get(word, 1) for word in self.pieces(text)], np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Words with spaces between; what stemming, case and stop words took away does not come back."""
        names = ("", "�", *self.vocabulary)
        return " ".join(names[int(i)] for i in ids if int(i))

    def pieces(self, text: str) -> list[str]:
        """What each id of ``encode`` stands for."""
        text = unicodedata.normalize("NFC", text)
        words = [word for word, _ in _splitter().pre_tokenize_str(text)]
        if self.lower:
            words = [word.lower() for word in words]
        if self.stop:
            words = [word for word in words if word not in self._stops]
        return [_stemmed(self.stem, word) for word in words] if self.stem else words

    def describe(self) -> str:
        extras = [f"stemmed ({self.stem})"] * bool(self.stem) + ["without stop words"] * bool(self.stop)
        return ", ".join([f"{len(self.vocabulary):,} words", *extras])

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary, start=2)}

    @cached_property
    def _stops(self) -> frozenset[str]:
        if not isinstance(self.stop, str):
            return frozenset(self.stop)
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return ENGLISH_STOP_WORDS


@functools.cache
def _splitter() -> Any:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)


_stemmers = threading.local()  # a Snowball stemmer keeps the word that it works on, so each thread has its own


@functools.lru_cache(maxsize=100_000)
def _stemmed(language: str, word: str) -> str:
    if not hasattr(_stemmers, language):
        import snowballstemmer

        setattr(_stemmers, language, snowballstemmer.stemmer(language))
    return getattr(_stemmers, language).stemWord(word)
