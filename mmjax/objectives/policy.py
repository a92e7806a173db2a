"""Learning from rewards: what was said becomes likelier by how much better it was than expected.

Words are those of ``target``, of which only an answer's are known. What else is wanted of them, ``b t`` each, is made
with the answers, before the step: ``advantage``, how much better; ``old``, their log-probabilities as they were said;
``reference``, those by a policy not to leave; ``values`` and ``returns``, what was expected, and what came.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.core import Batch, Mean, Outputs, UserError
from mmjax.core.rows import pair
from mmjax.objectives import likelihood

AVERAGES = ("word", "answer", "length")


@dataclass(frozen=True)
class Policy:
    """The clipped surrogate (PPO, Schulman et al., 2017, https://arxiv.org/abs/1707.06347), and a toll on divergence.

    ========== ============================================================================================
    PPO        ``average="word"``, with advantages by ``advantage.generalized`` and a ``Values`` beside
    GRPO       ``average="answer"``, with advantages by ``advantage.grouped`` and ``toll=0.04``
    Dr. GRPO   ``average="length"``, with advantages by ``advantage.grouped(scaled=False)``
    ========== ============================================================================================

    average: over all words alike; over answers, each by the mean of its words; or over answers, each by the sum of its
    words over ``length``, so that a long answer does not make light of a mistake. clip: how far from 1 the ratio to the
    old probability is followed; ``above`` where it differs upwards (DAPO, Yu et al., 2025,
    https://arxiv.org/abs/2503.14476). Without a target ``old`` words are new, and the ratio is 1. toll: on the
    divergence from ``reference``, exp(d) - d - 1 for d = reference - own (Schulman, 2020,
    http://joschu.net/blog/kl-approx.html).
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str = "next"
    head: str | None = None
    weight: float = 1.0
    average: str = "answer"
    length: int = 0
    clip: float = 0.2
    above: float = 0.0
    toll: float = 0.0
    advantage: str = "advantage"
    old: str = "old"
    reference: str = "reference"
    pieces: int = 32

    def __post_init__(self) -> None:
        _check(self.average, self.length)
        if self.clip <= 0 or self.above < 0 or self.toll < 0:
            raise UserError(f"clip={self.clip} must be above 0, above={self.above} and toll={self.toll} not below")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = likelihood.logs(outputs, batch, target=self.target, head=self.head, pieces=self.pieces)
        own, mask = rows.scores, rows.mask
        gain = likelihood.beside(batch, self.advantage, mask, "objectives.Policy")
        old = jax.lax.stop_gradient(own)
        if self.old in batch.targets:
            old = likelihood.beside(batch, self.old, mask, "objectives.Policy")
        losses = -clipped(own, old, gain, below=self.clip, above=self.above or self.clip)
        if self.toll:
            far = likelihood.beside(batch, self.reference, mask, "objectives.Policy") - own
            losses += self.toll * (jnp.expm1(far) - far)
        return averaged(losses, mask, self.average, self.length)


@dataclass(frozen=True)
class SelfCritical:
    """The score-function gradient: minus the advantage times the log-probability.

    With how much better a drawn caption is than the likeliest one it is self-critical training (SCST, Rennie et al.,
    2017, https://arxiv.org/abs/1612.00563). average, length: as of ``Policy``.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str = "next"
    head: str | None = None
    weight: float = 1.0
    average: str = "word"
    length: int = 0
    advantage: str = "advantage"
    pieces: int = 32

    def __post_init__(self) -> None:
        _check(self.average, self.length)

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = likelihood.logs(outputs, batch, target=self.target, head=self.head, pieces=self.pieces)
        gain = likelihood.beside(batch, self.advantage, rows.mask, "objectives.SelfCritical")
        return averaged(-gain * rows.scores, rows.mask, self.average, self.length)


@dataclass(frozen=True)
class Values:
    """What a value head should have expected before each word: half the squared error to ``returns``, over words.

    clip: where the answer has left its old value by more than this, the worse of both errors counts, so that values
    move little at a time (PPO); 0 for none.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str = "next"
    head: str = "value"
    weight: float = 0.5
    clip: float = 0.2
    returns: str = "returns"
    values: str = "values"

    def __post_init__(self) -> None:
        if self.clip < 0:
            raise UserError(f"clip={self.clip} must not be below 0")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head)
        returns = likelihood.beside(batch, self.returns, rows.mask, "objectives.Values")
        losses = jnp.square(rows.scores - returns)
        if self.clip:
            old = likelihood.beside(batch, self.values, rows.mask, "objectives.Values")
            near = old + jnp.clip(rows.scores - old, -self.clip, self.clip)
            losses = jnp.maximum(losses, jnp.square(near - returns))
        return Mean.of(losses / 2, rows.mask)


def clipped(
    own: Float[Array, "b t"], old: Float[Array, "b t"], gain: Float[Array, "b t"], *, below: float, above: float
) -> Float[Array, "b t"]:
    """What a policy of log-probabilities ``own`` wins by each word over ``old``, no more than near to it."""
    ratio = jnp.exp(own - old)
    return jnp.minimum(ratio * gain, jnp.clip(ratio, 1 - below, 1 + above) * gain)


def averaged(losses: Float[Array, "b t"], mask: Bool[Array, "b t"], average: str, length: int) -> Mean:
    """The mean of words' losses over words or over the rows that have any, as ``Policy`` says."""
    if average == "word":
        return Mean.of(losses, mask)
    words = jnp.sum(mask, axis=1)
    each = jnp.sum(jnp.where(mask, losses, 0), axis=1) / (jnp.maximum(words, 1) if average == "answer" else length)
    return Mean.of(each, words > 0)


def _check(average: str, length: int) -> None:
    if average not in AVERAGES or (length < 1) == (average == "length"):
        raise UserError(
            f"average={average!r} must be one of {', '.join(AVERAGES)}; length={length} is for the last alone, and "
            "there it must be 1 or more"
        )
