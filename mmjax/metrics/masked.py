"""How well words that were hidden are told from those around them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmjax.core import Batch, Factored, Outputs
from mmjax.core.rows import Rows, pair
from mmjax.metrics import bootstrap, language
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import finite


@dataclass(frozen=True)
class Masked:
    """Figures of a head with logits ``b n k``, or their factors, against words ``b n`` that are asked for where the
    target's mask is, as ``views.MaskedWords`` makes it. Intervals are over rows, whose places are not independent.

    accuracy: the likeliest word is the right one; loss: nats of a word; perplexity: its power of e; majority: how many
    of the words are the one that is asked for most often in these rows. stream: the modality that they are of, which
    knows how to write them.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str
    head: str | None = None
    stream: str = "text"

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        rows = pair(outputs, batch, target=self.target, head=self.head, classes=True, factored=True)
        scores: Any = rows.scores
        if isinstance(scores, Factored):
            nats, right = language.answered(scores.features, scores.kernel, rows.targets)
        else:
            nats = -jnp.take_along_axis(jax.nn.log_softmax(scores), rows.targets[..., None], axis=-1)[..., 0]
            right = jnp.argmax(scores, axis=-1) == rows.targets
        return Rows(jnp.stack([nats, right.astype(nats.dtype)], axis=-1), rows.targets, rows.mask)

    def compute(
        self, rows: Rows, *, tokenizer: Any = None, resamples: int = 1000, seed: int = 0, **_: Any
    ) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, and ``count``, of words."""
        rows = finite(rows, self.head or self.target)
        commonest = int(np.argmax(np.bincount(rows.targets[rows.mask], minlength=1)))
        said = np.moveaxis(rows.scores, -1, 0)
        nats, right, same = (
            np.where(rows.mask, each, 0).sum(axis=1, dtype=np.float64) for each in (*said, rows.targets == commonest)
        )
        words = rows.mask.sum(axis=1).astype(np.float64)

        def measure(weights: Float[np.ndarray, "r n"]) -> Measured:
            count = weights @ words
            accuracy, loss, majority = (ratio(weights @ each, count, empty=np.nan) for each in (right, nats, same))
            return Measured({"accuracy": accuracy, "loss": loss, "perplexity": np.exp(loss), "majority": majority})

        report = bootstrap.estimate(measure, rows=len(words), resamples=resamples, seed=seed)
        bootstrap.explain(report.figures, {})
        written = tokenizer.decode([commonest]) if hasattr(tokenizer, "decode") else str(commonest)
        report.figures["majority"]["answer"] = written
        return {**report.figures, "count": int(words.sum())}
