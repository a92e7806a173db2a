"""How well one of k classes is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from mmjax.core import Batch, Outputs
from mmjax.core.rows import Rows, pair
from mmjax.metrics import bootstrap, group
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.ranking import Ranking
from mmjax.metrics.rows import finite

_BINS = 15
_ONE_CLASS = "all rows have the same answer"


@dataclass(frozen=True)
class Classification:
    """Figures of a head with logits ``b k`` against a target ``b``. head: None means the head named as the target.

    Averages named macro are over the classes that appear in answers or predictions (AUROC and
    average precision: in answers), as in scikit-learn. With two classes, AUROC and average precision are
    those of class 1, else the macro average of one class against the rest.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)

    target: str
    head: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        return pair(outputs, batch, target=self.target, head=self.head, classes=True)

    def compute(self, rows: Rows, *, names: Sequence[str] = (), resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals; ``per_class``, ``confusion`` (rows are answers) and ``count``."""
        rows = finite(rows, self.head or self.target)
        measure = Measure(rows)
        k, count = rows.scores.shape[1], len(rows.targets)
        names = bootstrap.named(names, k)
        report = bootstrap.estimate(measure, rows=count, resamples=resamples, seed=seed)
        figures, each = report.figures, report.each
        bootstrap.explain(figures, {"auroc": _ONE_CLASS} if count else {})
        per_class = {}
        for i, name in enumerate(names):
            own = {key: values[i] for key, values in each.items()}
            bootstrap.explain(own, {"auroc": "no row is of this class" if not measure.support[i] else _ONE_CLASS})
            per_class[name] = own | {"support": int(measure.support[i])}
        absent = [name for i, name in enumerate(names) if not measure.support[i]]
        if absent and figures["auroc"]["value"] is not None:
            figures["auroc"]["note"] = f"without the classes of which there is no row: {', '.join(absent)}"
        if count:
            figures["majority"]["answer"] = names[measure.majority]
        confusion = {"labels": names, "matrix": confusion_matrix(rows.targets, measure.predicted, k).tolist()}
        return {**figures, "per_class": per_class, "confusion": confusion, "count": count}

    def measure(self, rows: Rows, *, ranked: bool = True) -> bootstrap.Measure:
        """Every figure as a function of row weights; unless ``ranked`` without the areas, which take longest."""
        return Measure(finite(rows, self.head or self.target), ranked=ranked)

    def hardest(self, rows: Rows, *, names: Sequence[str] = (), count: int = 12) -> list[dict[str, Any]]:
        """The rows of highest loss: ``{"index", "target", "prediction", "probability", "loss"}``.

        probability: that of the prediction.
        """
        rows = finite(rows, self.head or self.target)
        names = bootstrap.named(names, rows.scores.shape[1])
        measure = Measure(rows)
        found = []
        for i in np.argsort(-measure.losses, kind="stable")[:count]:
            answer = {"target": names[rows.targets[i]], "prediction": names[measure.predicted[i]]}
            facts = {"probability": float(measure.confidence[i]), "loss": float(measure.losses[i])}
            found.append({"index": int(rows.index[i]), **answer, **facts})
        return found


class Measure:
    """Gathered rows of logits and classes, made ready to be weighted again and again."""

    def __init__(self, rows: Rows, *, ranked: bool = True):
        n, k = rows.scores.shape
        self._probabilities = softmax(rows.scores)
        self.predicted = np.argmax(rows.scores, axis=1)
        self.confidence = self._probabilities[np.arange(n), self.predicted]
        if n and not 0 <= rows.targets.min() <= rows.targets.max() < k:
            raise ValueError(f"classes {rows.targets.min()} to {rows.targets.max()} for a head of {k} classes")
        self.losses = log_loss(self._probabilities[np.arange(n), rows.targets])
        self.support = np.bincount(rows.targets, minlength=k)
        self.majority = int(np.argmax(self.support))
        self._right = self.predicted == rows.targets
        self._answers = group.Groups(rows.targets, k)
        self._predictions = group.Groups(self.predicted, k)
        self._hits = group.Groups(np.where(self._right, rows.targets, k), k)
        # Bins (0, 1/15], (1/15, 2/15], ... of confidence, each with its accuracy less its confidence.
        self._bins = group.Groups(np.ceil(self.confidence * _BINS).astype(int) - 1, _BINS)
        classes = range(k if ranked else 0)
        self._rankings = [Ranking(self._probabilities[:, i], rows.targets == i) for i in classes]

    def __call__(self, weights: Float[np.ndarray, "r n"]) -> Measured:
        count = weights.sum(axis=1, dtype=np.float64)
        support, predicted = self._answers.sums(weights), self._predictions.sums(weights)
        hits = self._hits.sums(weights)
        averages, each = group.detection(hits, predicted, support, support + predicted > 0)
        gaps = self._bins.sums(weights, self._right - self.confidence)
        figures = {
            "accuracy": ratio(hits.sum(axis=1), count, empty=np.nan),
            "balanced_accuracy": group.mean(each["recall"], support > 0),
            **averages,
            **self._areas(weights, support, each),
            "calibration_error": ratio(np.abs(gaps).sum(axis=1), count, empty=np.nan),
            "log_loss": ratio(weights @ self.losses, count, empty=np.nan),
            "majority": ratio(support[:, self.majority], count, empty=np.nan),
        }
        return Measured(figures, each)

    def _areas(
        self, weights: Float[np.ndarray, "r n"], support: Float[np.ndarray, "r k"], each: dict[str, Any]
    ) -> dict[str, Float[np.ndarray, " r"]]:
        """Areas averaged over the classes; those of each class go into ``each``."""
        if not self._rankings:
            return {}
        areas = [ranking.areas(weights) for ranking in self._rankings]
        each["auroc"] = np.stack([a.auroc for a in areas], axis=1)
        each["average_precision"] = np.stack([a.average_precision for a in areas], axis=1)
        return {
            "auroc": _average(each["auroc"], ~np.isnan(each["auroc"])),
            "average_precision": _average(each["average_precision"], support > 0),
        }


def softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Probabilities in float64."""
    logits = logits.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)


def log_loss(probabilities: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """-log p, with p no nearer to 0 or 1 than float64's epsilon, as in scikit-learn."""
    epsilon = np.finfo(np.float64).eps
    return -np.log(np.clip(probabilities, epsilon, 1 - epsilon))


def confusion_matrix(
    targets: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], k: int
) -> Int[np.ndarray, "k k"]:
    """How many rows of each answer (down) were said to be what (across)."""
    return np.bincount(targets * k + predicted, minlength=k * k).reshape(k, k)


def _average(values: Float[np.ndarray, "r k"], of: np.ndarray) -> Float[np.ndarray, " r"]:
    return values[:, 1] if values.shape[1] == 2 else group.mean(values, of)
