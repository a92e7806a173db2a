"""How well each of k labels is given or withheld."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from mmjax.core import Batch, Outputs
from mmjax.core.rows import Rows, pair
from mmjax.metrics import bootstrap, group
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.ranking import Ranking
from mmjax.metrics.rows import finite

_ONE_ANSWER = "all known rows have the same answer"


@dataclass(frozen=True)
class MultiLabel:
    """Figures of a head with logits ``b k`` against targets and mask ``b k``; a label is given above probability 0.5.

    head: None means the head named as the target. A cell whose answer is unknown counts nowhere; a row is
    right for ``subset_accuracy`` when all its known labels are. Macro averages, AUROC and average
    precision among them, are over the labels with a known cell.
    """

    kinds: ClassVar[tuple[str, ...]] = ("classes",)

    target: str
    head: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        return pair(outputs, batch, target=self.target, head=self.head)

    def compute(self, rows: Rows, *, names: Sequence[str] = (), resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, ``per_class`` by label, and ``count``."""
        rows = finite(rows, self.head or self.target)
        names = bootstrap.named(names, rows.scores.shape[1])
        report = bootstrap.estimate(Measure(rows), rows=len(rows.scores), resamples=resamples, seed=seed)
        figures, each = report.figures, report.each
        bootstrap.explain(figures, {"auroc": _ONE_ANSWER} if len(rows.scores) else {})
        support, known = (rows.targets * rows.mask).sum(axis=0), rows.mask.sum(axis=0)
        per_class = {}
        for i, name in enumerate(names):
            own = {key: values[i] for key, values in each.items()}
            bootstrap.explain(own, {"auroc": _ONE_ANSWER} if known[i] else {})
            per_class[name] = own | {"support": int(support[i]), "known": int(known[i])}
        single = [name for i, name in enumerate(names) if support[i] in (0, known[i])]
        if single and figures["auroc"]["value"] is not None:
            figures["auroc"]["note"] = f"without the labels of which {_ONE_ANSWER}: {', '.join(single)}"
        return {**figures, "per_class": per_class, "count": len(rows.scores)}

    def measure(self, rows: Rows) -> bootstrap.Measure:
        """Every figure as a function of row weights."""
        return Measure(finite(rows, self.head or self.target))

    def hardest(self, rows: Rows, *, names: Sequence[str] = (), count: int = 12) -> list[dict[str, Any]]:
        """The rows of highest mean loss: ``{"index", "target", "prediction", "probability", "loss"}``.

        target, prediction: names of labels; probability: that of the known answers given, the labels independent.
        """
        rows = finite(rows, self.head or self.target)
        names = bootstrap.named(names, rows.scores.shape[1])
        losses = ratio((cell_losses(rows) * rows.mask).sum(axis=1), rows.mask.sum(axis=1))
        certain = np.where(rows.mask, 1 / (1 + np.exp(-np.abs(rows.scores.astype(np.float64)))), 1).prod(axis=1)
        given = {"target": (rows.targets > 0) & rows.mask, "prediction": rows.scores > 0}
        found = []
        for i in np.argsort(-losses, kind="stable")[:count]:
            answer = {
                key: [name for name, yes in zip(names, cells[i], strict=True) if yes] for key, cells in given.items()
            }
            found.append(
                {"index": int(rows.index[i]), **answer, "probability": float(certain[i]), "loss": float(losses[i])}
            )
        return found


class Measure:
    """Gathered rows of logits and labels, made ready to be weighted again and again."""

    def __init__(self, rows: Rows):
        yes, said, mask = rows.targets > 0, rows.scores > 0, rows.mask
        self._hits, self._said, self._yes, self._mask = (
            x.astype(np.float32) for x in (yes & said & mask, said & mask, yes & mask, mask)
        )
        self._whole = ((yes == said) | ~mask).all(axis=1).astype(np.float32)
        self._losses, self._cells = (cell_losses(rows) * mask).sum(axis=1), mask.sum(axis=1)
        self._rankings = []
        for i in range(rows.scores.shape[1]):
            known = np.flatnonzero(mask[:, i])
            self._rankings.append(Ranking(rows.scores[known, i], yes[known, i], known))

    def __call__(self, weights: Float[np.ndarray, "r n"]) -> Measured:
        hits, said, support, known = (
            (weights @ x).astype(np.float64) for x in (self._hits, self._said, self._yes, self._mask)
        )
        averages, each = group.detection(hits, said, support, known > 0)
        areas = [ranking.areas(weights) for ranking in self._rankings]
        each["auroc"] = np.stack([a.auroc for a in areas], axis=1)
        unknown = np.where(known > 0, 0, np.nan)
        each["average_precision"] = np.stack([a.average_precision for a in areas], axis=1) + unknown
        figures = {
            "subset_accuracy": ratio(weights @ self._whole, weights.sum(axis=1), empty=np.nan),
            **averages,
            "auroc": group.mean(each["auroc"], ~np.isnan(each["auroc"])),
            "average_precision": group.mean(each["average_precision"], known > 0),
            "log_loss": ratio(weights @ self._losses, weights @ self._cells, empty=np.nan),
        }
        return Measured(figures, each)


def cell_losses(rows: Rows) -> Float[np.ndarray, "n k"]:
    """Binary cross-entropy of every cell, in float64."""
    scores = rows.scores.astype(np.float64)
    return np.logaddexp(0, np.where(rows.targets > 0, -scores, scores))
