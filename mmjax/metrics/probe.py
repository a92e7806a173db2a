"""What a representation knows of a class that it was never taught: simple learners over frozen vectors."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Float, Int

from mmjax.core import Batch, Outputs, UserError
from mmjax.core.rows import Rows
from mmjax.metrics import vector
from mmjax.metrics.classification import Classification
from mmjax.metrics.rows import finite


class Learner(Protocol):
    """From vectors with known classes to scores ``m k`` of others."""

    def __call__(
        self,
        vectors: Float[np.ndarray, "n d"],
        labels: Int[np.ndarray, " n"],
        asked: Float[np.ndarray, "m d"],
        classes: int,
    ) -> Float[np.ndarray, "m k"]: ...


@dataclass(frozen=True)
class Linear:
    """Logistic regression on standardised features, by scikit-learn. decay: one over its C; ``steps`` at most."""

    decay: float = 1.0
    steps: int = 500

    def __call__(self, vectors: Any, labels: Any, asked: Any, classes: int) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        known = np.unique(labels)
        if len(known) < 2:
            return _one_hot(np.repeat(labels[:1], len(asked)), classes)
        mean, spread = vectors.mean(axis=0), vectors.std(axis=0)
        learner = LogisticRegression(C=1 / self.decay, max_iter=self.steps, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # steps are what was asked for
            learner.fit((vectors - mean) / (spread + 1e-6), labels)
        scores = np.full((len(asked), classes), -np.inf)
        scores[:, known] = learner.predict_log_proba((asked - mean) / (spread + 1e-6))
        return np.maximum(scores, -1e3)


@dataclass(frozen=True)
class Neighbours:
    """The vote of the ``count`` likest by cosine, each weighted by exp(cosine / temperature) (Wu et al., 2018,
    https://arxiv.org/abs/1805.01978)."""

    count: int = 20
    temperature: float = 0.07

    def __call__(self, vectors: Any, labels: Any, asked: Any, classes: int) -> Any:
        likeness = vector.unit(asked) @ vector.unit(vectors).T
        count = min(self.count, len(labels))
        near = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        weights = np.exp((np.take_along_axis(likeness, near, axis=1) - 1) / self.temperature)
        votes = (weights[..., None] * _one_hot(labels, classes)[near]).sum(axis=1)
        return np.log(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-300) + 1e-12)


@dataclass(frozen=True)
class FewShot:
    """Ridge regression on one-hot answers from ``shots`` examples of each class, the mean of ``draws`` choices of them.

    decay: what is added to the diagonal, times the mean of the squared lengths of the vectors.
    """

    shots: int = 10
    decay: float = 0.1
    draws: int = 5
    seed: int = 0

    def __call__(self, vectors: Any, labels: Any, asked: Any, classes: int) -> Any:
        rng, total = np.random.default_rng(self.seed), np.zeros((len(asked), classes))
        for _ in range(self.draws):
            order = rng.permutation(len(labels))
            chosen = np.concatenate([order[labels[order] == k][: self.shots] for k in range(classes)])
            total += self._once(vectors[chosen], labels[chosen], asked, classes)
        return total / self.draws

    def _once(self, vectors: Any, labels: Any, asked: Any, classes: int) -> Any:
        mean = vectors.mean(axis=0)
        inputs, answers = vectors - mean, _one_hot(labels, classes)
        gram = inputs @ inputs.T
        gram += self.decay * max(np.trace(gram) / max(len(gram), 1), 1e-12) * np.eye(len(gram))
        centre = answers.mean(axis=0)
        return centre + (asked - mean) @ inputs.T @ np.linalg.solve(gram, answers - centre)


@dataclass(frozen=True)
class Prototypes:
    """The cosine to the mean of each class's unit vectors, times ``scale``: where these are of prompts, zero-shot
    classification with an ensemble of prompts (CLIP, Radford et al., 2021, https://arxiv.org/abs/2103.00020)."""

    scale: float = 100.0

    def __call__(self, vectors: Any, labels: Any, asked: Any, classes: int) -> Any:
        sums = _one_hot(labels, classes).T @ vector.unit(vectors)
        there = np.isin(np.arange(classes), labels)
        return np.where(there, self.scale * vector.unit(asked) @ vector.unit(sums).T, -1e3)


@dataclass(frozen=True)
class Probe:
    """One modality's vectors to classes, by a simple ``learner`` over those of the evaluator's ``reference`` rows.

    The vectors are the mean of the encoder's tokens (of what is fused where ``stream`` is ""), or with ``shared`` those
    of ``fusion.Towers``, which all modalities share: then ``by`` may name another modality to learn from, as prompts
    that name the classes (``Probe("label", "image", Prototypes(), shared=True, by="text")``), and no picture of a class
    is ever seen. Figures are those of ``metrics.Classification``.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    wants_reference: ClassVar[bool] = True

    target: str
    stream: str
    learner: Any = Linear()
    shared: bool = False
    by: str = ""

    def __post_init__(self) -> None:
        if self.by and not self.shared:
            raise UserError("by names another modality to learn from, whose vectors lie elsewhere; set shared")

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        if not self.shared:
            return vector.pooled(outputs, batch, stream=self.stream, target=self.target)
        return vector.stacked(outputs, batch, sides=(self.stream, self.by or self.stream), target=self.target)

    def compute(
        self,
        rows: Rows,
        *,
        reference: Rows | None = None,
        names: Sequence[str] = (),
        resamples: int = 1000,
        seed: int = 0,
    ) -> dict[str, Any]:
        """As ``metrics.Classification`` does, and ``reference``: from how many rows was learned."""
        if reference is None:
            raise ValueError(f"a probe of {self.stream!r} learns from rows of reference")
        rows, reference = finite(rows, self.stream), finite(reference, self.stream)
        asked, known = rows.mask[:, 0], reference.mask[:, -1]
        if not known.any():
            raise UserError(f"no reference row has both {self.by or self.stream!r} and target {self.target!r}")
        classes = len(names) or int(max(rows.targets.max(initial=0), reference.targets.max(initial=0))) + 1
        scores = self.learner(
            reference.scores[known, -1].astype(np.float64),
            reference.targets[known],
            rows.scores[asked, 0].astype(np.float64),
            classes,
        )
        answers = Rows(scores.astype(np.float32), rows.targets[asked], asked[asked], rows.index[asked])
        figures = Classification(self.target).compute(answers, names=names, resamples=resamples, seed=seed)
        return {**figures, "reference": int(known.sum())}


def _one_hot(labels: Any, classes: int) -> Float[np.ndarray, "n k"]:
    return np.eye(classes)[labels]
