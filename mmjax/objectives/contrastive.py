"""Learning what belongs together: rows of one modality are to be told by those of another."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, UserError, masks, vectors
from mmjax.objectives import pairwise

KINDS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class Contrastive:
    """Whose is whose: vectors ``b m d`` of ``fusion.Towers``, no target; every pair of modalities, or all with one.

    * ``softmax``: of all rows of the other modality, each row finds its own, both ways (CLIP, Radford et al., 2021,
      https://arxiv.org/abs/2103.00020);
    * ``sigmoid``: of each pair of rows by itself, whether they belong together (SigLIP, Zhai et al., 2023,
      https://arxiv.org/abs/2303.15343).

    Averaged over the rows that have both modalities of a pair; a row that lacks one takes no part in it. anchor: the
    modality that all others are paired with (ImageBind, Girdhar et al., 2023, https://arxiv.org/abs/2305.05665).
    scale: the head that says how sharp likeness is (``heads.Temperature``). hard: how much more the likest of the
    wrong rows count; 0 for all alike, else they are weighted by the ``hard``-th power of exp(logit) (Robinson et al.,
    2021, https://arxiv.org/abs/2010.04592; softmax alone).

    where: a target of ones and zeros; rows of which it is not 1 take no part, as those that ``views.Mismatched`` made.

    A step compares the rows of its whole batch, on whatever devices they lie, ``chunk`` of each device at a time
    (``objectives.pairwise``). ``whole``: also where ``optim.accumulate`` runs the model on one part of the batch after
    another (gradient caching, Gao et al., 2021, https://arxiv.org/abs/2101.06983); else each part is by itself.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    compares: ClassVar[bool] = True  # rows with one another

    streams: Sequence[str] = ()
    anchor: str = ""
    kind: str = "softmax"
    scale: str = "scale"
    hard: float = 0.0
    chunk: int = 256
    where: str = ""
    whole: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"kind={self.kind!r} is no contrast; there are {', '.join(KINDS)}")
        if self.hard < 0 or (self.hard and self.kind == "sigmoid"):
            raise UserError(f"hard={self.hard} must be at least 0, and 0 with kind='sigmoid'")
        if self.chunk < 1:
            raise UserError(f"chunk must be at least 1, not {self.chunk}")

    def __call__(self, outputs: Outputs, batch: Batch, *, across: Any = pairwise.Here()) -> Mean:
        """across: where the rows lie (``train.across``)."""
        found = vectors.by_stream(outputs, self.streams)
        if self.scale not in outputs.heads:
            raise UserError(f"head {self.scale!r} is wanted, a heads.Temperature; there are {', '.join(outputs.heads)}")
        sharpness = outputs.heads[self.scale][0]  # all rows are alike
        scale, added = sharpness.astype(jnp.promote_types(sharpness.dtype, jnp.float32))
        rule = Softmax(self.hard) if self.kind == "softmax" else Sigmoid()
        paired = self._paired(batch)
        total, count = jnp.zeros(()), jnp.zeros(())
        for one, other in self._pairs(sorted(found)):
            mask = found[one].mask & found[other].mask & paired
            sides = (jnp.where(mask[:, None], found[name].values, 0) for name in (one, other))
            more: Any = pairwise.total(*sides, mask, scale, added, rule, self.chunk, across)
            total += more
            count += jnp.sum(_here(one, batch, mask) & _here(other, batch, mask) & paired, dtype=jnp.float32)
        return Mean(total.astype(jnp.float32), count)

    def _paired(self, batch: Batch) -> Any:
        """Which rows take part: ``b``, or True for all."""
        if not self.where:
            return True
        if self.where not in batch.targets:
            raise UserError(f"where={self.where!r} is no target; there are {', '.join(batch.targets) or 'none'}")
        told = batch.targets[self.where]
        return told.mask & (told.values == 1)

    def _pairs(self, names: Sequence[str]) -> list[tuple[str, str]]:
        if len(names) < 2 or (self.anchor and self.anchor not in names):
            raise UserError(f"two modalities or more are wanted, {self.anchor or 'any'} among them; got {names}")
        if self.anchor:
            return [(self.anchor, name) for name in names if name != self.anchor]
        return list(itertools.combinations(names, 2))


@dataclass(frozen=True)
class Softmax:
    """Cross-entropy of finding the own row among all; what counts of each is a log-sum of exponentials."""

    hard: float = 0.0

    def start(self, rows: int, dtype: Any) -> Any:
        """The sums of no one: ``likely`` of e^((1 + hard) logit), ``weights`` of e^(hard logit)."""
        nothing = jnp.full(rows, -jnp.inf, dtype)
        return {"likely": nothing, "weights": nothing} if self.hard else {"likely": nothing}

    def met(self, sums: Any, logits: Any, valid: Any, axis: int) -> Any:
        """The sums with these too."""
        powers = {"likely": 1 + self.hard, "weights": self.hard}

        def more(power: float) -> Any:
            return jax.nn.logsumexp(jnp.where(valid, power * logits, -jnp.inf), axis=axis)

        return {name: jnp.logaddexp(sums[name], more(powers[name])) for name in sums}

    def closed(self, sums: Any, own: Any, mask: Any, others: Any) -> Any:
        """Losses, slopes by the own pair, and by what exponents the slopes by others are made."""
        alone = ~mask | (others < 1)
        sums = {name: jnp.where(alone, 0, value) for name, value in sums.items()}
        wrong = sums["likely"] + (jnp.log(jnp.maximum(others, 1)) - sums["weights"] if self.hard else 0)
        wrong = jnp.where(alone, -jnp.inf, wrong)
        normal = jnp.logaddexp(own, wrong)
        heed = {name: jnp.where(alone, -jnp.inf, wrong - normal - value) for name, value in sums.items()}
        return normal - own, jnp.exp(own - normal) - 1, heed

    def slopes(self, logits: Any, valid: Any, rows: Any, columns: Any) -> Any:
        """Of rows and of columns, added up."""

        def exponents(name: str, power: float) -> Any:
            shifted = jnp.where(valid, power * logits, -jnp.inf)
            return jnp.exp(shifted + rows[name][:, None]) + jnp.exp(shifted + columns[name][None])

        found = (1 + self.hard) * exponents("likely", 1 + self.hard)
        return found - self.hard * exponents("weights", self.hard) if self.hard else found


@dataclass(frozen=True)
class Sigmoid:
    """Binary cross-entropy of every pair of rows; the own pair's is shared by both of its sides."""

    def start(self, rows: int, dtype: Any) -> Any:
        """The loss of no pair."""
        return jnp.zeros(rows, dtype)

    def met(self, sums: Any, logits: Any, valid: Any, axis: int) -> Any:
        """The loss with these pairs too."""
        return sums + jnp.sum(jnp.where(valid, jax.nn.softplus(logits), 0), axis=axis)

    def closed(self, sums: Any, own: Any, mask: Any, others: Any) -> Any:
        """Losses and slopes by the own pair; slopes by others want nothing more."""
        return sums + jax.nn.softplus(-own), -jax.nn.sigmoid(-own), jnp.zeros_like(own)

    def slopes(self, logits: Any, valid: Any, rows: Any, columns: Any) -> Any:
        """Twice, since rows and columns are halved."""
        return 2 * jax.nn.sigmoid(logits)


def _here(name: str, batch: Batch, mask: Any) -> Any:
    """Whether rows have a modality, by the batch, which is known before the model runs."""
    return masks.present(batch.inputs[name].mask) if name in batch.inputs else mask
