"""How far numbers are from the truth, in the target's own unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from mmjax.core import Batch, Outputs
from mmjax.core.rows import Rows, pair
from mmjax.metrics import bootstrap, group
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import finite

Scale = tuple[float | Sequence[float], float | Sequence[float]]


@dataclass(frozen=True)
class Regression:
    """Figures of a head against a target, both ``b`` or ``b k`` (then each figure is the mean over the k outputs).

    head: None means the head named as the target.
    """

    kinds: ClassVar[tuple[str, ...]] = ("number",)

    target: str
    head: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        return pair(outputs, batch, target=self.target, head=self.head)

    def compute(
        self,
        rows: Rows,
        *,
        names: Sequence[str] = (),
        scale: Scale = (0.0, 1.0),
        resamples: int = 1000,
        seed: int = 0,
    ) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, ``per_output`` where there are several, and ``count``.

        scale: (mean, standard deviation) by which the target was standardised, for all outputs or for each.
        """
        measure = self.measure(rows, scale=scale)
        report = bootstrap.estimate(measure, rows=measure.rows, resamples=resamples, seed=seed)
        bootstrap.explain(report.figures, {"r2": "it takes two rows"} if measure.rows else {})
        outputs = {}
        if measure.outputs > 1:
            for i, name in enumerate(bootstrap.named(names, measure.outputs)):
                outputs[name] = {key: values[i] for key, values in report.each.items()}
                bootstrap.explain(outputs[name], {"r2": "it takes two rows"} if measure.rows else {})
        return {**report.figures, **({"per_output": outputs} if outputs else {}), "count": measure.rows}

    def measure(self, rows: Rows, *, scale: Scale = (0.0, 1.0)) -> "Measure":
        """Every figure as a function of row weights."""
        return Measure(_scaled(finite(rows, self.head or self.target), scale))

    def hardest(
        self, rows: Rows, *, names: Sequence[str] = (), count: int = 12, scale: Scale = (0.0, 1.0)
    ) -> list[dict[str, Any]]:
        """The rows of highest mean squared error: ``{"index", "target", "prediction", "probability", "loss"}``.

        probability: None, for a number has none.
        """
        rows = _scaled(finite(rows, self.head or self.target), scale)
        square = np.square(rows.scores - rows.targets)
        losses = ratio((square * rows.mask).sum(axis=1), rows.mask.sum(axis=1))
        found = []
        for i in np.argsort(-losses, kind="stable")[:count]:
            answer = {"target": _answer(rows.targets[i], rows.mask[i]), "prediction": _answer(rows.scores[i])}
            found.append({"index": int(rows.index[i]), **answer, "probability": None, "loss": float(losses[i])})
        return found


class Measure:
    """Gathered rows of numbers ``n k``, made ready to be weighted again and again."""

    def __init__(self, rows: Rows):
        self.rows, self.outputs = rows.scores.shape
        self._mask = rows.mask.astype(np.float64)
        error = np.where(rows.mask, rows.scores - rows.targets, 0.0)
        self._square, self._absolute = np.square(error), np.abs(error)
        # About the middle of the known targets, where sums of squares cancel least; exactly 0 where all are equal.
        self._target = np.zeros(rows.targets.shape)
        for i in range(self.outputs):
            known = rows.targets[rows.mask[:, i], i]
            if known.size and np.ptp(known) > 0:
                self._target[rows.mask[:, i], i] = known - known.mean()

    def __call__(self, weights: Float[np.ndarray, "r n"]) -> Measured:
        weights = weights.astype(np.float64)
        count = weights @ self._mask
        square = weights @ self._square
        spread = weights @ np.square(self._target)
        variation = spread - ratio(np.square(weights @ self._target), count)
        variation = np.where(variation > 1e-12 * spread, variation, 0.0)
        # scikit-learn's convention: without variation 1 when all is right, else 0; undefined below two rows.
        flat = np.where(square == 0, 1.0, 0.0)
        r2 = np.where(variation > 0, 1 - ratio(square, variation), flat)
        each = {
            "mean_squared_error": ratio(square, count, empty=np.nan),
            "root_mean_squared_error": np.sqrt(ratio(square, count, empty=np.nan)),
            "mean_absolute_error": ratio(weights @ self._absolute, count, empty=np.nan),
            "r2": np.where(count >= 2, r2, np.nan),
        }
        return Measured({name: group.mean(values, ~np.isnan(values)) for name, values in each.items()}, each)


def _scaled(rows: Rows, scale: Scale) -> Rows:
    """Rows as ``n k``, float64, in the target's own unit."""
    mean, deviation = (np.asarray(part, np.float64) for part in scale)
    scores, targets, mask = (x[:, None] if x.ndim == 1 else x for x in (rows.scores, rows.targets, rows.mask))
    scores, targets = (x.astype(np.float64) * deviation + mean for x in (scores, targets))
    return Rows(scores, targets, mask, rows.index)


def _answer(values: Float[np.ndarray, " k"], mask: np.ndarray | None = None) -> Any:
    answers = [float(v) if mask is None or mask[i] else None for i, v in enumerate(values)]
    return answers[0] if len(answers) == 1 else answers
