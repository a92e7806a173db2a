"""Learning from answers, modality by modality."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, Signal, Tokens, UserError
from mmjax.core.rows import pair
from mmjax.objectives.supervised import cross_entropy, in_shares, shared_cross_entropy


@dataclass(frozen=True)
class Experts:
    """Every expert's own cross-entropy: fused tokens are logits ``b m k`` (``fusion.Experts``), target ``b`` (int32)
    or how much of each class, ``b k`` (float32).

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
        shares = in_shares(batch, self.target)
        rows = pair(
            outputs.replace(heads={self.target: outputs.fused.values}),
            batch.replace(targets=self._asked(outputs.fused, batch)),
            target=self.target,
            classes=not shares,
        )
        loss: Any = shared_cross_entropy if shares else cross_entropy
        ones = jnp.ones(rows.scores.shape[-1], jnp.float32)
        losses = loss(rows.scores, rows.targets, weights=ones, smoothing=self.smoothing)
        answered, here = (
            mask.all(axis=-1) if shares else mask for mask in (batch.targets[self.target].mask, rows.mask)
        )
        return Mean.of(losses, here).replace(count=jnp.sum(answered, dtype=jnp.float32))

    def _asked(self, fused: Tokens, batch: Batch) -> dict[str, Signal]:
        """The targets, where every expert that a row has is asked for its answer."""
        targets = dict(batch.targets)
        if self.target in targets:
            signal = targets[self.target]
            here = fused.mask.astype(bool).reshape(fused.mask.shape + (1,) * (signal.values.ndim - 1))
            values = jnp.broadcast_to(signal.values[:, None], here.shape[:2] + signal.values.shape[1:])
            targets[self.target] = Signal(values, here & signal.mask.astype(bool)[:, None])
        return targets
