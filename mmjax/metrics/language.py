"""How well the next word of a text is foreseen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmjax.core import Batch, Factored, Outputs
from mmjax.core.rows import Rows, pair
from mmjax.metrics import bootstrap
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import finite

_LOGITS = 2**22  # held at one time


@dataclass(frozen=True)
class Language:
    """Figures of a head with logits ``b n k``, or their factors, against words ``b n``. Intervals are over rows.

    loss: nats a word; perplexity: its power of e; bits_per_byte: what the text would take to store, whatever
    its words are, by which models with different tokenizers can be compared.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str
    head: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        rows = pair(outputs, batch, target=self.target, head=self.head, classes=True, factored=True)
        if isinstance(rows.scores, Factored):
            return rows.replace(scores=answered(rows.scores.features, rows.scores.kernel, rows.targets)[0])  # pyright: ignore[reportAttributeAccessIssue]
        each = jnp.take_along_axis(jax.nn.log_softmax(rows.scores), rows.targets[..., None], axis=-1)[..., 0]
        return rows.replace(scores=-each)  # pyright: ignore[reportAttributeAccessIssue]

    def compute(
        self, rows: Rows, *, sizes: Sequence[int] | np.ndarray = (), resamples: int = 1000, seed: int = 0
    ) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, and ``count``, of words. sizes: bytes of each known word."""
        rows = finite(rows, self.head or self.target)
        losses = np.where(rows.mask, rows.scores, 0).sum(axis=1, dtype=np.float64)
        words = rows.mask.sum(axis=1).astype(np.float64)
        held = (
            np.where(rows.mask, np.asarray(sizes)[rows.targets], 0).sum(axis=1) if len(sizes) else np.zeros(len(words))
        )

        def measure(weights: Float[np.ndarray, "r n"]) -> Measured:
            total = weights @ losses
            loss = ratio(total, weights @ words, empty=np.nan)
            bits = ratio(total, (weights @ held) * math.log(2), empty=np.nan)
            return Measured({"loss": loss, "perplexity": np.exp(loss), "bits_per_byte": bits})

        report = bootstrap.estimate(measure, rows=len(words), resamples=resamples, seed=seed)
        bootstrap.explain(report.figures, {} if not len(words) else {"bits_per_byte": "the words' bytes are not known"})
        return {**report.figures, "count": int(words.sum())}


def answered(features: Float[Array, "b n d"], kernel: Float[Array, "d k"], labels: Int[Array, "b n"]) -> Any:
    """Nats of each word, and whether it is the likeliest; a few words' logits at a time."""

    def one(word: Any) -> Any:
        logits = jnp.einsum("d,dk->k", word[0], kernel.astype(word[0].dtype), preferred_element_type=jnp.float32)
        return jax.nn.logsumexp(logits) - logits[word[1]], jnp.argmax(logits) == word[1]

    flat = features.reshape(-1, features.shape[-1]), labels.reshape(-1)
    size = max(1, min(len(flat[1]), _LOGITS // kernel.shape[1]))
    return tuple(found.reshape(labels.shape) for found in jax.lax.map(one, flat, batch_size=size))
