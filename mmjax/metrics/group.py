"""Weight by group of rows, for many weightings at once: the sums that counts are made of."""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mmjax.metrics.bootstrap import ratio


class Groups:
    """Rows sorted into groups 0 .. count-1; a row of another code belongs to none."""

    def __init__(self, codes: Int[np.ndarray, " n"], count: int):
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(count + 1))
        self._count, self._order = count, order[edges[0] : edges[-1]]
        self._filled = np.flatnonzero(np.diff(edges))
        self._starts = (edges - edges[0])[self._filled]

    def sums(
        self, weights: Float[np.ndarray, "r n"], values: Shaped[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, "r k"]:
        """The sum of ``weights`` (times ``values``) in each group; whole weights below 2**24 add up exactly."""
        total = np.zeros((weights.shape[0], self._count))
        if self._filled.size:
            taken = np.take(weights, self._order, axis=1)
            taken = taken if values is None else taken * values[self._order]
            total[:, self._filled] = np.add.reduceat(taken, self._starts, axis=1)
        return total


def detection(
    hits: Float[np.ndarray, "r k"],
    predicted: Float[np.ndarray, "r k"],
    support: Float[np.ndarray, "r k"],
    present: Bool[np.ndarray, "r k"],
) -> tuple[dict[str, Float[np.ndarray, " r"]], dict[str, Float[np.ndarray, "r k"]]]:
    """Precision, recall and F1 as averages (macro over ``present``, micro, weighted by support) and for each class.

    hits: rows rightly said to be of a class; predicted: said to be; support: that are. 0 where nothing is to divide by.
    """
    each = {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, predicted + support),
    }
    h, p, s = (x.sum(axis=1) for x in (hits, predicted, support))
    micro = {"precision": ratio(h, p), "recall": ratio(h, s), "f1": ratio(2 * h, p + s)}
    figures = {}
    for name, values in each.items():
        figures[f"{name}_macro"] = mean(values, present)
        figures[f"{name}_micro"] = micro[name]
        figures[f"{name}_weighted"] = ratio((values * support).sum(axis=1), s)
    return figures, each


def mean(values: Float[np.ndarray, "r k"], of: Bool[np.ndarray, "r k"]) -> Float[np.ndarray, " r"]:
    """The mean over the columns ``of``; NaN where there are none."""
    return ratio(np.where(of, values, 0).sum(axis=1), of.sum(axis=1), empty=np.nan)
