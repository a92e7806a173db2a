"""Sentences that were said, held against those that would have been right."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jiwer
import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import LCSseq
from sacrebleu.metrics.bleu import BLEU

from mmjax.core import UserError
from mmjax.metrics import answer, bootstrap
from mmjax.metrics.bootstrap import Measured, Weights, ratio
from mmjax.metrics.cider import cider

Figure = Callable[[Weights], Float[np.ndarray, " r"]]
_LONGEST = 4  # words that BLEU counts together

_SHORT: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "exact_match": answer.exact,
    "token_f1": answer.token_f1,
    "vqa_accuracy": answer.vqa,
}
EACH = (*_SHORT, "rouge_l", "cider")  # of a row by itself
FIGURES = (*_SHORT, "bleu", "rouge_l", "cider", "word_error_rate", "character_error_rate")


def sentences(
    said: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    figures: Sequence[str] = FIGURES,
    resamples: int = 1000,
    seed: int = 0,
    together: Sequence[Hashable] = (),
) -> dict[str, Any]:
    """JSON-ready ``figures`` with 95 % bootstrap intervals over the rows, and ``count``.

    references: what would have been right, for each row one text or several, of which the best counts. together: what
    each row belongs to, as the picture that it is about; such rows are drawn together (``bootstrap.resampled``).

    * ``exact_match``, ``token_f1``, ``vqa_accuracy``: of short answers, from 0 to 1 (``metrics.answer``).
    * ``bleu``: of the corpus, 0 to 100, by sacrebleu, its words and smoothing (Post, 2018,
      https://arxiv.org/abs/1804.08771). Every row has as many references.
    * ``rouge_l``: mean F1 of the longest common subsequence of words, 0 to 1 (Lin, 2004,
      https://aclanthology.org/W04-1013), in lower case, without stems.
    * ``cider``: mean CIDEr-D, 0 to 10 (``metrics.cider``); how rare words are is learned from all rows.
    * ``word_error_rate``, ``character_error_rate``: mistakes over the length of the references, by jiwer, text as it
      stands; can be above 1.

    Raises UserError for a figure that there is not, rows that do not pair, a row without a reference, or an empty
    reference where mistakes are counted.
    """
    several = [(one,) if isinstance(one, str) else tuple(one) for one in references]
    _check(said, several, figures, together)
    made = {name: _figure(name, said, several) for name in figures}

    def measure(weights: Weights) -> Measured:
        return Measured({name: figure(weights) for name, figure in made.items()})

    own = {"resamples": resamples, "seed": seed, "together": bootstrap.clusters(together)}
    report = bootstrap.estimate(measure, rows=len(said), **own)
    bootstrap.explain(report.figures, {})
    return {**report.figures, "count": len(said)}


def each(
    name: str, said: Sequence[str], references: Sequence[Sequence[str]], corpus: Sequence[Sequence[str]] = ()
) -> list[float]:
    """One of the figures ``EACH`` of every row, whose mean ``sentences`` tells. Raises UserError for another.

    corpus: from which CIDEr learns how rare words are; if empty, from the references.
    """
    if name not in EACH:
        raise UserError(f"{name!r} is no figure of a sentence by itself; there are {', '.join(EACH)}")
    if name == "cider":
        return cider(said, references, corpus)
    pairs = zip(said, references, strict=True)
    if name == "rouge_l":
        return [max(_common(one, reference) for reference in several) for one, several in pairs]
    return [_SHORT[name](*pair) for pair in pairs]


def _figure(name: str, said: Sequence[str], references: Sequence[Sequence[str]]) -> Figure:
    if name in EACH:
        return _mean(each(name, said, references))
    pairs = list(zip(said, references, strict=True))
    if name == "bleu":
        return _bleu(pairs)
    process = jiwer.process_words if name == "word_error_rate" else jiwer.process_characters
    return _mistakes(
        [min((_wrong(process, one, reference) for reference in several), key=_rate) for one, several in pairs]
    )


def _mean(values: Sequence[float]) -> Figure:
    each = np.asarray(values, np.float64)
    return lambda weights: ratio(weights @ each, weights.sum(axis=1), empty=np.nan)


def _bleu(pairs: Sequence[tuple[str, Sequence[str]]]) -> Figure:
    scorer = BLEU(effective_order=True)  # of a sentence; what is added up of each does not hang on it
    scores = [scorer.sentence_score(one, list(several)) for one, several in pairs]
    rows = [[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in scores]
    parts = np.asarray(rows, np.float64).reshape(len(rows), 2 * _LONGEST + 2)

    def figure(weights: Weights) -> Float[np.ndarray, " r"]:
        sums = np.rint(weights @ parts).astype(int).tolist()
        made = (BLEU.compute_bleu(s[:_LONGEST], s[_LONGEST:-2], *s[-2:], max_ngram_order=_LONGEST) for s in sums)
        return np.array([one.score for one in made])

    return figure


def _mistakes(counted: Sequence[tuple[int, int]]) -> Figure:
    wrong, length = np.asarray(counted, np.float64).reshape(-1, 2).T
    return lambda weights: ratio(weights @ wrong, weights @ length, empty=np.nan)


def _wrong(process: Callable[..., Any], said: str, reference: str) -> tuple[int, int]:
    """How many mistakes there are, and of how many words or characters."""
    found = process(reference, said)
    lost = found.substitutions + found.deletions
    return lost + found.insertions, lost + found.hits


def _rate(counted: tuple[int, int]) -> float:
    return counted[0] / counted[1]


def _common(said: str, reference: str) -> float:
    own, other = said.lower().split(), reference.lower().split()
    if not own or not other:
        return float(own == other)
    return 2 * LCSseq.similarity(own, other) / (len(own) + len(other))


def _check(
    said: Sequence[str], references: Sequence[Sequence[str]], figures: Sequence[str], ties: Sequence[Any]
) -> None:
    unknown = [name for name in figures if name not in FIGURES]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no figure of sentences; there are {', '.join(FIGURES)}")
    if len(said) != len(references):
        raise UserError(f"{len(said)} sentences were said, and there are references for {len(references)}")
    if ties and len(ties) != len(said):
        raise UserError(f"{len(said)} sentences were said, and together tells of {len(ties)}")
    for row, several in enumerate(references):
        if not several:
            raise UserError(f"row {row} has no reference")
        if any(name.endswith("error_rate") for name in figures) and not all(one.strip() for one in several):
            raise UserError(f"row {row} has an empty reference, of which no share can be wrong; leave the row out")
    if "bleu" in figures and len({len(several) for several in references}) > 1:
        raise UserError("bleu wants as many references for every row; leave it out of figures")
