"""Learning from which answer is liked better. The answers to one prompt are the segments of one row, 1, 2, ...

So each row is by itself, however batches are cut, and a prompt's answers are always judged together.
"""

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.core import Batch, Mean, Outputs, UserError, segments
from mmjax.objectives import likelihood

KINDS = ("dpo", "ipo", "orpo")


@dataclass(frozen=True)
class Preference:
    """A policy straight from pairs: of each row segment 1 is liked better than segment 2; rows that lack one are out.

    * ``dpo``: the log-sigmoid of ``beta`` times how much more than the reference the policy tells them apart (Rafailov
      et al., 2023, https://arxiv.org/abs/2305.18290); ``doubt``: the share of pairs that may be the wrong way round;
    * ``ipo``: the squared difference of that to 1 / (2 beta), which pairs that are always told apart do not drive to
      infinity (Azar et al., 2023, https://arxiv.org/abs/2310.12036);
    * ``orpo``: the cross-entropy of the better answer, plus ``beta`` times the log-sigmoid of the log odds ratio of
      their mean words; no reference is needed (Hong et al., 2024, https://arxiv.org/abs/2403.07691).

    reference: the target with each word's log-probability by the policy to stay near to. The first two add up the
    words of an answer, as their papers do.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str = "next"
    head: str | None = None
    weight: float = 1.0
    kind: str = "dpo"
    beta: float = 0.1
    doubt: float = 0.0
    reference: str = "reference"
    pieces: int = 32

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"kind={self.kind!r} is no preference loss; there are {', '.join(KINDS)}")
        if self.beta <= 0 or not 0 <= self.doubt < 0.5 or (self.doubt and self.kind != "dpo"):
            raise UserError(f"beta={self.beta} must be above 0, doubt={self.doubt} from 0 to 0.5, and 0 but for 'dpo'")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = likelihood.logs(outputs, batch, target=self.target, head=self.head, pieces=self.pieces)
        numbers = _numbers(batch, self.target)
        words = segments.summed(rows.mask.astype(rows.scores.dtype), rows.mask, numbers, 2)
        own = segments.summed(rows.scores, rows.mask, numbers, 2)
        if self.kind == "orpo":
            losses = orpo(own / jnp.maximum(words, 1), beta=self.beta)
        else:
            known = likelihood.beside(batch, self.reference, rows.mask, "objectives.Preference")
            more = own - segments.summed(known, rows.mask, numbers, 2)
            apart = more[:, 0] - more[:, 1]
            losses = dpo(apart, beta=self.beta, doubt=self.doubt) if self.kind == "dpo" else ipo(apart, beta=self.beta)
        return Mean.of(losses, jnp.all(words > 0, axis=1))


@dataclass(frozen=True)
class Ranking:
    """A reward model: head ``b t`` gives a reward at the last token of each answer; the better ones are to have more.

    target: what each of a row's ``k`` answers is worth, ``b k``, masked where there is none; only which of two is worth
    more is learned. All pairs of a prompt count as one, the mean of their log-sigmoids (InstructGPT, Ouyang et al.,
    2022, https://arxiv.org/abs/2203.02155). stream: the modality whose segments the answers are.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    target: str = "worth"
    head: str = "reward"
    stream: str = "text"
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        if self.target not in batch.targets or self.head not in outputs.heads:
            raise UserError(f"objectives.Ranking wants target {self.target!r} and head {self.head!r} of the model")
        worth, signal = batch.targets[self.target], batch.inputs[self.stream]
        rewards = segments.ends(outputs.heads[self.head], signal.mask, signal.segments, worth.values.shape[1])
        return ranked(rewards, jnp.where(worth.mask, worth.values, 0), jnp.asarray(worth.mask))


def dpo(apart: Float[Array, " b"], *, beta: float, doubt: float = 0.0) -> Float[Array, " b"]:
    """Of how much more than the reference the policy likes the better answer, in log-probability."""
    return -(1 - doubt) * jax.nn.log_sigmoid(beta * apart) - doubt * jax.nn.log_sigmoid(-beta * apart)


def ipo(apart: Float[Array, " b"], *, beta: float) -> Float[Array, " b"]:
    """Of the same."""
    return jnp.square(apart - 1 / (2 * beta))


def orpo(means: Float[Array, "b 2"], *, beta: float) -> Float[Array, " b"]:
    """Of the mean log-probability of the words of the better and of the worse answer."""
    certain = jnp.finfo(means.dtype).eps  # a mean of 0 has infinite odds
    safe = jnp.minimum(means, -certain)
    odds = safe - jnp.log(-jnp.expm1(safe))
    return -means[:, 0] - beta * jax.nn.log_sigmoid(odds[:, 0] - odds[:, 1])


def ranked(rewards: Float[Array, "b k"], worth: Any, mask: Bool[Array, "b k"]) -> Mean:
    """The mean over rows with at least one pair of different worth, each by the mean of its pairs."""
    total, pairs = jnp.zeros(len(rewards), rewards.dtype), jnp.zeros(len(rewards), rewards.dtype)
    for i, j in itertools.combinations(range(rewards.shape[1]), 2):
        better = jnp.sign(worth[:, i] - worth[:, j])
        real = mask[:, i] & mask[:, j] & (better != 0)
        gap = jnp.where(real, rewards[:, i] - rewards[:, j], 0)
        total -= jnp.where(real, jax.nn.log_sigmoid(better * gap), 0)
        pairs += real
    return Mean.of(total / jnp.maximum(pairs, 1), pairs > 0)


def _numbers(batch: Batch, target: str) -> Any:
    numbers: Any = batch.targets[target].segments
    if numbers is None:
        raise UserError(f"objectives.Preference wants pairs of answers as segments 1 and 2 of target {target!r}")
    return jnp.asarray(numbers)
