"""Learning to say the same of two sides without wrong ones to be told from: what keeps all from saying one thing.

Each loss is of a whole batch, so its mean is the loss times the rows that have both sides, over these. The sides are
two modalities' vectors of ``fusion.Towers`` (every pair of ``streams``, of all where none is named), most often with
``hidden`` layers and ``unit=False``. No target; a row that lacks a side takes no part. ``whole`` is as in
``objectives.Contrastive``.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.core import Batch, Mean, Outputs, UserError, masks, vectors

Side = Float[Array, "b d"]
Loss = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class VICReg:
    """Alike, apart, and each number for itself (Bardes et al., 2022, https://arxiv.org/abs/2105.04906).

    ``invariance`` weighs the mean squared difference of both sides, ``variance`` how far each number's standard
    deviation over the rows falls below 1, ``covariance`` the squared covariances of different numbers.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    streams: Sequence[str] = ()
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    epsilon: float = 1e-4
    whole: bool = True
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        return _over_pairs(self._loss, self.streams, outputs, batch)

    def _loss(self, one: Side, other: Side, mask: Bool[Array, " b"]) -> Float[Array, ""]:
        count, width = jnp.sum(mask, dtype=one.dtype), one.shape[1]
        apart = jnp.sum(jnp.square(one - other)) / jnp.maximum(count * width, 1)
        return self.invariance * apart + sum(self._spread(side, mask, count) for side in (one, other))

    def _spread(self, side: Side, mask: Bool[Array, " b"], count: Float[Array, ""]) -> Float[Array, ""]:
        """What one side lacks in variance and has too much of in covariance."""
        width, off = side.shape[1], _centred(side, mask, count)
        table = off.T @ off / jnp.maximum(count - 1, 1)
        deviation = jnp.sqrt(jnp.diagonal(table) + self.epsilon)
        shared = (jnp.sum(jnp.square(table)) - jnp.sum(jnp.square(jnp.diagonal(table)))) / width
        return self.variance * jnp.mean(jax.nn.relu(1 - deviation)) / 2 + self.covariance * shared


@dataclass(frozen=True)
class BarlowTwins:
    """Correlations of both sides' numbers are to be those of one with itself (Zbontar et al., 2021,
    https://arxiv.org/abs/2103.03230): 1 on the diagonal, and 0 off it, which counts ``redundancy`` as much."""

    kinds: ClassVar[tuple[str, ...]] = ()

    streams: Sequence[str] = ()
    redundancy: float = 0.0051
    epsilon: float = 1e-5
    whole: bool = True
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        return _over_pairs(self._loss, self.streams, outputs, batch)

    def _loss(self, one: Side, other: Side, mask: Bool[Array, " b"]) -> Float[Array, ""]:
        count = jnp.sum(mask, dtype=one.dtype)
        many = jnp.maximum(count, 1)
        first, second = (_centred(side, mask, count) for side in (one, other))
        first, second = (
            side * jax.lax.rsqrt(jnp.sum(jnp.square(side), axis=0) / many + self.epsilon) for side in (first, second)
        )
        table = first.T @ second / many
        own = jnp.diagonal(table)
        rest = jnp.sum(jnp.square(table)) - jnp.sum(jnp.square(own))
        return jnp.sum(jnp.square(1 - own)) + self.redundancy * rest


@dataclass(frozen=True)
class SimCLR:
    """NT-Xent (Chen et al., 2020, https://arxiv.org/abs/2002.05709): of all other vectors of either side, each finds
    its own other side, by cosine over ``temperature``. All products of all with all are made: ``2b 2b``."""

    kinds: ClassVar[tuple[str, ...]] = ()

    streams: Sequence[str] = ()
    temperature: float = 0.5
    whole: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise UserError(f"temperature must be above 0, not {self.temperature}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        return _over_pairs(self._loss, self.streams, outputs, batch)

    def _loss(self, one: Side, other: Side, mask: Bool[Array, " b"]) -> Float[Array, ""]:
        both, here = jnp.concatenate([one, other]), jnp.concatenate([mask, mask])
        both *= jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(both), axis=1, keepdims=True), 1e-24))
        logits = both @ both.T / self.temperature
        own = jnp.roll(jnp.eye(len(both), dtype=bool), len(one), axis=1)
        others = here[None] & ~jnp.eye(len(both), dtype=bool)
        logs = jax.nn.logsumexp(jnp.where(others, logits, jnp.finfo(logits.dtype).min), axis=1)
        found = logs - jnp.sum(jnp.where(own, logits, 0), axis=1)
        return jnp.sum(jnp.where(here, found, 0)) / jnp.maximum(jnp.sum(here), 1)


@dataclass(frozen=True)
class DeepCCA:
    """As much correlation of both sides as can be (Andrew et al., 2013, https://proceedings.mlr.press/v28/andrew13.html):
    less the sum of their canonical correlations, of ``ridge`` more variance in every direction than the rows have."""

    kinds: ClassVar[tuple[str, ...]] = ()

    streams: Sequence[str] = ()
    ridge: float = 1e-3
    whole: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.ridge <= 0:
            raise UserError(f"ridge must be above 0, not {self.ridge}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        return _over_pairs(self._loss, self.streams, outputs, batch)

    def _loss(self, one: Side, other: Side, mask: Bool[Array, " b"]) -> Float[Array, ""]:
        count = jnp.sum(mask, dtype=one.dtype)
        many = jnp.maximum(count - 1, 1)
        first, second = (_centred(side, mask, count) for side in (one, other))
        # Whitened by Cholesky factors, which turns what inverse roots would give, and leaves its singular values.
        table = self._whitened(first, many, first.T @ second / many)
        table = self._whitened(second, many, table.T)
        return -jnp.sum(jnp.linalg.svd(table, compute_uv=False))

    def _whitened(self, side: Side, many: Float[Array, ""], table: Float[Array, "d e"]) -> Float[Array, "d e"]:
        own = side.T @ side / many + self.ridge * jnp.eye(side.shape[1], dtype=side.dtype)
        return jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(own), table, lower=True)


def _over_pairs(loss: Loss, streams: Sequence[str], outputs: Outputs, batch: Batch) -> Mean:
    """The losses of all pairs of modalities, each times the rows that have both."""
    found = vectors.by_stream(outputs, streams)
    if len(found) < 2:
        raise UserError(f"two modalities or more are wanted; got {', '.join(found)}")
    total, count = jnp.zeros(()), jnp.zeros(())
    for one, other in itertools.combinations(sorted(found), 2):
        mask = found[one].mask & found[other].mask
        exact = jnp.promote_types(found[one].values.dtype, jnp.float32)
        first, second = (masks.zeroed(found[name].values, mask).astype(exact) for name in (one, other))
        total += loss(first, second, mask) * jnp.sum(mask)
        here = [masks.present(batch.inputs[name].mask) for name in (one, other) if name in batch.inputs]
        count += jnp.sum(jnp.stack(here).all(axis=0) if here else mask, dtype=jnp.float32)
    return Mean(total.astype(jnp.float32), count)


def _centred(side: Side, mask: Bool[Array, " b"], count: Float[Array, ""]) -> Side:
    """Less the mean of the rows that count; others at 0."""
    return masks.zeroed(side - jnp.sum(side, axis=0) / jnp.maximum(count, 1), mask)
