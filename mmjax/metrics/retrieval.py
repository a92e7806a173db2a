"""Finding what belongs to what, among all rows that are measured."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from mmjax.core import Batch, Outputs
from mmjax.core.rows import Rows
from mmjax.metrics import bootstrap, vector
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import finite

_AT = (1, 5, 10)
_ROWS = 1024  # of queries at one time


@dataclass(frozen=True)
class Retrieval:
    """Recall at 1, 5 and 10 and the median rank, both ways, of vectors of ``fusion.Towers`` by their cosine.

    Rows that have both modalities are queries one way and gallery the other. Right is what stands in the same row,
    or, with a ``target``, whatever has the same answer: then the first that is right counts. Of those that are as
    like, half count as before it. Intervals are over queries; the gallery stays.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)

    query: str
    key: str
    target: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        return vector.stacked(outputs, batch, sides=(self.query, self.key), target=self.target)

    def compute(self, rows: Rows, *, resamples: int = 1000, seed: int = 0, **_: Any) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, and ``count``: ``recall_at_1``, ``median_rank``, ...

        What begins with "back" is of keys that look for queries, as ``back_recall_at_1``.
        """
        rows = finite(rows, f"{self.query} and {self.key}")
        kept = rows.mask.all(axis=1)
        vectors, targets = vector.unit(rows.scores[kept]), rows.targets[kept]
        labels = targets if self.target is not None else np.arange(len(targets))
        ways = {
            "": ranks(vectors[:, 0], vectors[:, 1], labels),
            "back_": ranks(vectors[:, 1], vectors[:, 0], labels),
        }

        def measure(weights: Float[np.ndarray, "r n"]) -> Measured:
            figures = {}
            for way, found in ways.items():
                count = weights.sum(axis=1)
                for at in _AT:
                    figures[f"{way}recall_at_{at}"] = ratio(weights @ (found <= at), count, empty=np.nan)
                figures[f"{way}median_rank"] = median(found, weights)
            return Measured(figures)

        report = bootstrap.estimate(measure, rows=len(targets), resamples=resamples, seed=seed)
        bootstrap.explain(report.figures, {})
        return {**report.figures, "count": len(targets)}


def ranks(
    queries: Float[np.ndarray, "n d"], keys: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The place of the first right key of each query, from 1."""
    found = np.zeros(len(queries))
    for start in range(0, len(queries), _ROWS):
        rows = slice(start, start + _ROWS)
        likeness = queries[rows] @ keys.T
        right: Bool[np.ndarray, "m n"] = labels[rows][:, None] == labels[None]
        best = np.where(right, likeness, -np.inf).max(axis=1, keepdims=True)
        found[rows] = 1 + ((likeness > best) & ~right).sum(axis=1) + ((likeness == best) & ~right).sum(axis=1) / 2
    return found


def median(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
    """The weighted median: the middle of the two values at half of the weight; NaN without any."""
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[:, order], axis=1, dtype=np.float64)
    half = total[:, -1:] / 2
    low, high = (total < half).sum(axis=1), (total <= half).sum(axis=1)
    last = len(values) - 1
    return (values[order][np.minimum(low, last)] + values[order][np.minimum(high, last)]) / 2
