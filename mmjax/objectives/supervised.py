"""Learning from answers: each head against its target, over the rows that have one.

Every objective gives an unweighted ``Mean`` in float32; ``weight`` is its share in the loss, which
the training step applies. The count depends on the batch alone, never on the outputs. With a ``stream``, the rows
that lack this modality are left out: so a head that reads one stream alone is trained.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.core import Batch, Factored, Mean, Outputs, UserError
from mmjax.core.rows import pair
from mmjax.objectives import chunked


@dataclass(frozen=True)
class CrossEntropy:
    """One of k classes, or of k words: logits ``b k``, target ``b`` (int32), or how much of each, ``b k`` (float32).

    Such shares are what ``views.Mixup`` makes; they are not factored. A label outside 0..k-1 gives NaN, which stops
    the run. Where the head gives factors of its logits, ``Factored``, these are made in at most ``pieces`` pieces, one
    at a time (``objectives.chunked``): many words in little memory.
    Rows may have any number of axes.

    head: None means the head named as the target. smoothing: that share of each answer is spread
    evenly over all classes (Szegedy et al., 2016, https://arxiv.org/abs/1512.00567).
    class_weights: one a class; the loss is then the sum of weighted losses over the sum of the
    targets' weights, as in PyTorch's ``CrossEntropyLoss`` (smoothing included).
    """

    kinds: ClassVar[tuple[str, ...]] = ("class", "words")

    target: str
    head: str | None = None
    stream: str = ""
    weight: float = 1.0
    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    pieces: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing must be at least 0 and below 1, not {self.smoothing}")
        if self.pieces < 1:
            raise UserError(f"pieces must be at least 1, not {self.pieces}")
        _positive(self.class_weights, "class_weights")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        if in_shares(batch, self.target):
            return self._shares(outputs, batch)
        rows = self._rows(outputs, batch)
        scores, factored = rows.scores, isinstance(rows.scores, Factored)
        classes = (scores.kernel if factored else scores).shape[-1]
        weights = _weights(self.class_weights, classes, "class_weights", self.target)
        count = Mean.of(weights[rows.targets], rows.mask).total
        if factored:
            given = (scores.features, scores.kernel, rows.targets, rows.mask, weights)
            return Mean(chunked.total(*given, self.smoothing, self.pieces, scores.shares), count)
        losses = cross_entropy(scores, rows.targets, weights=weights, smoothing=self.smoothing)
        return Mean.of(losses, rows.mask).replace(count=count)

    def _rows(self, outputs: Outputs, batch: Batch, **kind: bool) -> Any:
        kind = kind or {"classes": True, "factored": True}
        return pair(outputs, batch, target=self.target, head=self.head, stream=self.stream, **kind)

    def _shares(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = self._rows(outputs, batch, classes=False)
        classes = rows.scores.shape[-1]
        weights = _weights(self.class_weights, classes, "class_weights", self.target)
        here = rows.mask.all(axis=-1)
        losses = shared_cross_entropy(rows.scores, rows.targets, weights=weights, smoothing=self.smoothing)
        count = Mean.of(jnp.sum(weights * rows.targets, axis=-1), here).total
        return Mean.of(losses, here).replace(count=count)

    def confidence(self, outputs: Outputs, batch: Batch) -> Mean:
        """The probability that the head gives to the truth."""
        if in_shares(batch, self.target):
            rows = self._rows(outputs, batch, classes=False)
            told = jnp.sum(rows.targets * jax.nn.softmax(rows.scores), axis=-1)
            return Mean.of(told, rows.mask.all(axis=-1))
        rows = self._rows(outputs, batch)
        if isinstance(rows.scores, Factored):
            losses = chunked.losses(rows.scores, rows.targets, most=self.pieces)
            return Mean.of(jnp.exp(-losses), rows.mask)
        found = jnp.take_along_axis(jax.nn.softmax(rows.scores), rows.targets[..., None], axis=-1)[..., 0]
        return Mean.of(found, rows.mask)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Any of k labels: logits, target and mask ``b k``; the mean over all known cells.

    positive_weights: one a label; multiplies the loss of the cells whose answer is yes, as
    ``pos_weight`` in PyTorch's ``BCEWithLogitsLoss``.
    """

    kinds: ClassVar[tuple[str, ...]] = ("classes",)

    target: str
    head: str | None = None
    stream: str = ""
    weight: float = 1.0
    positive_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _positive(self.positive_weights, "positive_weights")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head, stream=self.stream)
        weights = _weights(self.positive_weights, rows.scores.shape[-1], "positive_weights", self.target)
        yes, no = jax.nn.log_sigmoid(rows.scores), jax.nn.log_sigmoid(-rows.scores)
        return Mean.of(-(weights * rows.targets * yes + (1 - rows.targets) * no), rows.mask)


@dataclass(frozen=True)
class SquaredError:
    """Numbers: head, target and mask ``b`` or ``b k``; the mean over all known cells."""

    kinds: ClassVar[tuple[str, ...]] = ("number",)

    target: str
    head: str | None = None
    stream: str = ""
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head, stream=self.stream)
        return Mean.of(jnp.square(rows.scores - rows.targets), rows.mask)


@dataclass(frozen=True)
class AbsoluteError:
    """Numbers, with less heed to outliers: head, target and mask ``b`` or ``b k``; the mean over all known cells."""

    kinds: ClassVar[tuple[str, ...]] = ("number",)

    target: str
    head: str | None = None
    stream: str = ""
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head, stream=self.stream)
        return Mean.of(jnp.abs(rows.scores - rows.targets), rows.mask)


def cross_entropy(
    logits: Float[Array, "... k"], labels: Int[Array, "..."], *, weights: Float[Array, " k"], smoothing: float
) -> Float[Array, "..."]:
    """Of each answer, in the logits' precision; NaN for a label outside 0..k-1."""
    k = logits.shape[-1]
    logs = jax.nn.log_softmax(logits)
    known = (labels >= 0) & (labels < k)
    hard = jnp.take_along_axis(weights * logs, jnp.where(known, labels, 0)[..., None], axis=-1)[..., 0]
    losses = -(1 - smoothing) * hard
    if smoothing:
        losses -= smoothing / k * jnp.sum(weights * logs, axis=-1)
    return jnp.where(known, losses, jnp.nan)


def shared_cross_entropy(
    logits: Float[Array, "... k"], shares: Float[Array, "... k"], *, weights: Float[Array, " k"], smoothing: float
) -> Float[Array, "..."]:
    """Of each answer that is in part of several classes, in the logits' precision."""
    spread = (1 - smoothing) * shares + smoothing / logits.shape[-1]
    return -jnp.sum(weights * spread * jax.nn.log_softmax(logits), axis=-1)


def in_shares(batch: Batch, target: str) -> bool:
    """Whether a target says how much of each class a row is, rather than which it is."""
    found = batch.targets.get(target)
    return found is not None and found.values.ndim > 1 and jnp.issubdtype(found.values.dtype, jnp.floating)


def _weights(given: tuple[float, ...], k: int, what: str, target: str) -> Float[Array, " k"]:
    if given and len(given) != k:
        raise UserError(f"{what} of target {target!r} has {len(given)} numbers, its head has {k} classes")
    return jnp.asarray(given, jnp.float32) if given else jnp.ones(k, jnp.float32)


def _positive(given: tuple[float, ...], what: str) -> None:
    if any(not 0 <= weight < float("inf") for weight in given):
        raise UserError(f"{what} must be finite and not negative, not {given}")
