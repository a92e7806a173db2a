"""Short answers in words: the same but for case, articles and punctuation, or how much of them is."""

import collections
import re
import string
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_AGREE = 3  # of the people asked, for a whole point


def plain(text: str) -> str:
    """Lower case, without punctuation, English articles and spaces more than one (as SQuAD has it)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(said: str, references: Sequence[str]) -> float:
    """1 where the answer is one of the references, both made plain."""
    return float(plain(said) in {plain(reference) for reference in references})


def token_f1(said: str, references: Sequence[str]) -> float:
    """The best F1 of the words in common (Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250)."""
    return max(_f1(plain(said).split(), plain(reference).split()) for reference in references)


def vqa(said: str, references: Sequence[str]) -> float:
    """Agreement with several people's answers: a third of a point for each that is the same, at most one (Antol et
    al., 2015, https://arxiv.org/abs/1505.00468), averaged over leaving out one of them at a time. One reference alone
    is a whole point or none. Answers are made ``plain``; numbers in words stay as they are."""
    same = [plain(said) == plain(reference) for reference in references]
    if len(same) == 1:
        return float(same[0])
    return sum(min((sum(same) - one) / _AGREE, 1.0) for one in same) / len(same)


def _f1(said: list[str], reference: list[str]) -> float:
    if not said or not reference:
        return float(said == reference)
    common = sum((collections.Counter(said) & collections.Counter(reference)).values())
    return 2 * common / (len(said) + len(reference))
