"""Whether rewards put answers in the order that people did."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmjax.core import Batch, Outputs, UserError, segments
from mmjax.core.rows import Rows
from mmjax.metrics import bootstrap
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import finite


@dataclass(frozen=True)
class Agreement:
    """Of all pairs of answers to one prompt that are not worth the same, how many a reward model tells the right way.

    target: what each answer is worth, ``b k`` (``fields.Worth``); head: rewards ``b t``, of which that at an answer's
    last token counts, as in ``objectives.Ranking``; stream: the modality whose segments the answers are. Equal rewards
    are half right. Intervals are over prompts.
    """

    kinds: ClassVar[tuple[str, ...]] = ("ranks",)

    target: str = "worth"
    head: str = "reward"
    stream: str = "text"

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        if self.head not in outputs.heads:
            raise UserError(f"the model has no head {self.head!r}; it has {', '.join(sorted(outputs.heads))}")
        worth, text = batch.targets[self.target], batch.inputs[self.stream]
        rewards = segments.ends(outputs.heads[self.head], text.mask, text.segments, worth.values.shape[1])
        return Rows(jnp.where(worth.mask, rewards, 0).astype(jnp.float32), worth.values, worth.mask)

    def compute(self, rows: Rows, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
        """``{"accuracy": {"value", "low", "high"}, "count"}``, of pairs."""
        rows = finite(rows, self.head)
        known = rows.mask[:, :, None] & rows.mask[:, None]
        more = known & (rows.targets[:, :, None] > rows.targets[:, None])
        gap = np.sign(rows.scores[:, :, None] - rows.scores[:, None])
        right = np.where(more, (1 + gap) / 2, 0).sum(axis=(1, 2))
        pairs = more.sum(axis=(1, 2)).astype(np.float64)

        def measure(weights: Float[np.ndarray, "r n"]) -> Measured:
            return Measured({"accuracy": ratio(weights @ right, weights @ pairs, empty=np.nan)})

        report = bootstrap.estimate(measure, rows=len(pairs), resamples=resamples, seed=seed)
        bootstrap.explain(report.figures, {})
        return {**report.figures, "count": int(pairs.sum())}
