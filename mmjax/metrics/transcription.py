"""How well what was said is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from mmjax.core import Batch, Outputs
from mmjax.core.rows import Rows, spoken
from mmjax.metrics.rows import finite
from mmjax.metrics.sentence import sentences

FIGURES = ("word_error_rate", "character_error_rate", "exact_match")


@dataclass(frozen=True)
class Transcription:
    """Figures of a head of frames, ``heads.Transcribe``, against words ``b t``: ``metrics.sentences`` by jiwer.

    Each frame's likeliest word is taken (``collapsed``). Intervals are over rows.
    """

    kinds: ClassVar[tuple[str, ...]] = ("text",)

    target: str
    head: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        """Scores ``b n``: the likeliest word of each frame, 0 for none and where it is masked, NaN where it is NaN."""
        rows = spoken(outputs, batch, target=self.target, head=self.head)
        logits = rows.scores.values
        likeliest = jnp.where(rows.scores.mask, jnp.argmax(logits, axis=-1), 0).astype(jnp.float32)
        return rows.replace(scores=jnp.where(jnp.isfinite(logits).all(axis=-1), likeliest, jnp.nan))  # pyright: ignore[reportAttributeAccessIssue]

    def compute(self, rows: Rows, *, tokenizer: Any = None, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, and ``count``. tokenizer: of the words, numbers without."""
        said, right = self._texts(rows, tokenizer)
        return sentences(said, right, figures=FIGURES, resamples=resamples, seed=seed)

    def hardest(self, rows: Rows, *, tokenizer: Any = None, count: int = 12) -> list[dict[str, Any]]:
        """The rows with most mistakes a word: ``{"index", "target", "prediction", "loss"}``."""
        index = finite(rows, self.head or self.target).index
        pairs = zip(*self._texts(rows, tokenizer), strict=True)
        each = [(said, right, _rate(said, right)) for said, right in pairs]
        order = sorted(range(len(each)), key=lambda i: -each[i][2])[:count]
        return [
            {"index": int(index[i]), "target": each[i][1], "prediction": each[i][0], "loss": each[i][2]} for i in order
        ]

    def _texts(self, rows: Rows, tokenizer: Any) -> tuple[list[str], list[str]]:
        rows = finite(rows, self.head or self.target)
        said = [collapsed(row.astype(np.int64)) for row in rows.scores]
        right = [row[mask] for row, mask in zip(rows.targets, rows.mask, strict=True)]
        return [written(ids, tokenizer) for ids in said], [written(ids, tokenizer) for ids in right]


def collapsed(frames: Int[np.ndarray, " n"], mask: Bool[np.ndarray, " n"] | None = None) -> Int[np.ndarray, " t"]:
    """What frames say: a word that goes on is one, and 0 is none."""
    frames = frames if mask is None else frames[mask]
    first = np.diff(frames, prepend=0) != 0
    return frames[first & (frames != 0)]


def written(ids: Sequence[int] | np.ndarray, tokenizer: Any) -> str:
    """Ids as a text; without a tokenizer their numbers."""
    return " ".join(map(str, ids)) if tokenizer is None else tokenizer.decode(ids)


def _rate(said: str, right: str) -> float:
    return sentences([said], [right], figures=FIGURES[:1], resamples=0)[FIGURES[0]]["value"]
