"""Learning from answers, modality by modality."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, Signal, UserError
from mmjax.core.rows import pair
from mmjax.objectives.supervised import cross_entropy


@dataclass(frozen=True)
class Experts:
    """Every expert's own cross-entropy: fused tokens are logits ``b m k`` (``fusion.Experts``), target ``b`` (int32).

    The sum over the experts that a row has, averaged over the rows that have an answer. So each expert learns as if
    it were alone, and whatever is made of their votes plays no part. head: the one that votes on the target, where
    its name is another. A label outside 0..k-1 gives NaN, which stops the run.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)

    target: str
    head: str | None = None
    weight: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing must be at least 0 and below 1, not {self.smoothing}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        fused, targets = outputs.fused, dict(batch.targets)
        if self.target in targets:
            signal = targets[self.target]
            answered = signal.mask.astype(bool)[:, None]
            targets[self.target] = Signal(
                jnp.broadcast_to(signal.values[:, None], fused.mask.shape), answered & fused.mask.astype(bool)
            )
        rows = pair(
            outputs.replace(heads={self.target: fused.values}),
            batch.replace(targets=targets),
            target=self.target,
            classes=True,
        )
        ones = jnp.ones(rows.scores.shape[-1], jnp.float32)
        losses = cross_entropy(rows.scores, rows.targets, weights=ones, smoothing=self.smoothing)
        count = jnp.sum(batch.targets[self.target].mask, dtype=jnp.float32)
        return Mean.of(losses, rows.mask).replace(count=count)
