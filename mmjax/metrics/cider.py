"""How much a caption says what people say of the same picture."""

import collections
import itertools
import math
from collections.abc import Sequence

_LONGEST, _SIGMA = 4, 6.0
Grams = dict[tuple[str, ...], float]


def cider(
    said: Sequence[str], references: Sequence[Sequence[str]], corpus: Sequence[Sequence[str]] = ()
) -> list[float]:
    """CIDEr-D of each caption (Vedantam et al., 2015, https://arxiv.org/abs/1411.5726), from 0 to 10.

    Words are what stands between spaces, in lower case. How rare words are is learned from ``corpus``, the captions
    of each picture, if empty from ``references``. One picture tells nothing of that: there the score is 0.
    """
    known = [[_counts(reference) for reference in several] for several in references]
    spread: collections.Counter[tuple[str, ...]] = collections.Counter()
    whole = [[_counts(caption) for caption in several] for several in corpus] or known
    for several in whole:
        spread.update(set(itertools.chain.from_iterable(several)))
    most = math.log(max(len(whole), 1))

    def weighed(counts: collections.Counter) -> Grams:
        return {gram: count * (most - math.log(max(spread[gram], 1))) for gram, count in counts.items()}

    scores = []
    for caption, several in zip(said, known, strict=True):
        own, length = weighed(_counts(caption)), len(caption.split())
        each = [_alike(own, weighed(counts), length - _length(counts)) for counts in several]
        scores.append(10 * sum(each) / len(each))
    return scores


def _counts(text: str) -> collections.Counter:
    words = text.lower().split()
    sizes = range(1, _LONGEST + 1)
    return collections.Counter(tuple(words[i : i + n]) for n in sizes for i in range(len(words) - n + 1))


def _length(counts: collections.Counter) -> int:
    return sum(count for gram, count in counts.items() if len(gram) == 1)


def _alike(own: Grams, other: Grams, longer: int) -> float:
    """The mean cosine over lengths of n-grams, of which none counts more often than others said it."""
    total = 0.0
    for n in range(1, _LONGEST + 1):
        norms = [math.sqrt(sum(w**2 for gram, w in grams.items() if len(gram) == n)) for grams in (own, other)]
        if all(norms):
            shared = (gram for gram in own if len(gram) == n and gram in other)
            total += sum(min(own[gram], other[gram]) * other[gram] for gram in shared) / math.prod(norms)
    return total / _LONGEST * math.exp(-(longer**2) / (2 * _SIGMA**2))
