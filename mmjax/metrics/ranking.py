"""Areas under curves, for many weightings of the rows at once: AUROC and average precision."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mmjax.metrics.bootstrap import ratio


@dataclass(frozen=True)
class Areas:
    """auroc: NaN unless both answers are present; average_precision: 0 without a positive row, as in scikit-learn."""

    auroc: Float[np.ndarray, " r"]
    average_precision: Float[np.ndarray, " r"]


class Ranking:
    """Rows from the highest score to the lowest. Ties share a rank.

    scores, positive: of the rows numbered ``rows`` (None: of all). Only the groups of equal scores
    that hold a positive row matter to either area, so the sums over all rows stop at their edges.
    """

    def __init__(
        self,
        scores: Float[np.ndarray, " m"],
        positive: Bool[np.ndarray, " m"],
        rows: Int[np.ndarray, " m"] | None = None,
    ):
        order = np.argsort(-scores, kind="stable")
        self._order = order if rows is None else rows[order]
        scores, self._hits = scores[order], np.flatnonzero(positive[order])
        ends = np.append(np.flatnonzero(np.diff(scores)) + 1, scores.size)
        group = np.searchsorted(ends, self._hits, side="right")
        groups, self._firsts = np.unique(group, return_index=True)
        starts, ends = np.append(0, ends)[groups], ends[groups]
        self._edges = np.unique(np.concatenate([[0], starts, ends, [scores.size]]))
        self._starts, self._ends = np.searchsorted(self._edges, starts), np.searchsorted(self._edges, ends)

    def areas(self, weights: Float[np.ndarray, "r n"]) -> Areas:
        """Both areas for each weighting."""
        if self._hits.size == 0:
            return Areas(np.full(weights.shape[0], np.nan), np.zeros(weights.shape[0]))
        taken = np.take(weights, self._order, axis=1)
        above = np.zeros((weights.shape[0], self._edges.size))  # weight of all rows above each edge
        np.cumsum(np.add.reduceat(taken, self._edges[:-1], axis=1), axis=1, dtype=np.float64, out=above[:, 1:])
        here = np.add.reduceat(taken[:, self._hits], self._firsts, axis=1).astype(np.float64)
        hits = np.cumsum(here, axis=1)  # weight of positive rows down to the end of each group
        positives, total = hits[:, -1], above[:, -1]
        starts, ends = above[:, self._starts], above[:, self._ends]
        # A positive row beats the negatives below its group and halves with those in it.
        beaten = (total - positives)[:, None] - 0.5 * ((ends - hits) + (starts - (hits - here)))
        auroc = ratio((here * beaten).sum(axis=1), positives * (total - positives), empty=np.nan)
        return Areas(auroc, ratio((here * ratio(hits, ends)).sum(axis=1), positives))
