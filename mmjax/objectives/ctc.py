"""Learning what was said without being told when: connectionist temporal classification."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Batch, Mean, Outputs, UserError
from mmjax.core.rows import spoken

_NEVER = -1e30  # the logarithm of no chance at all; finite, so that its gradient is
UNFIT = ("stop", "leave_out")


@dataclass(frozen=True)
class CTC:
    """Frames of logits ``b n k`` against words ``b t``: nats a word, over all ways in which frames may spell them.

    A frame says one of k words or, word 0, none; words that follow each other without a 0 between are one (Graves et
    al., 2006, https://doi.org/10.1145/1143844.1143891). So a row needs a frame for each word, and one more wherever a
    word comes twice running. A row with fewer cannot be learned: its loss is infinite, which stops the run with a
    line that says so, or, with ``unfit="leave_out"``, it takes no part (its words still count).
    """

    kinds: ClassVar[tuple[str, ...]] = ("text",)
    infinite: ClassVar[str] = (
        "a row has more words than its recording has frames, so CTC cannot fit them; leave such rows out "
        '(unfit="leave_out"), or let the encoder make more frames'
    )

    target: str
    head: str | None = None
    weight: float = 1.0
    unfit: str = "stop"

    def __post_init__(self) -> None:
        if self.unfit not in UNFIT:
            raise UserError(f"unfit is {self.unfit!r}; it can be {' or '.join(UNFIT)}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = spoken(outputs, batch, target=self.target, head=self.head)
        losses = ctc(rows.scores.values, rows.scores.mask, rows.targets, rows.mask)
        if self.unfit == "leave_out":
            losses = jnp.where(jnp.isposinf(losses), 0, losses)
        return Mean.of(losses, jnp.any(rows.mask, axis=1)).replace(count=jnp.sum(rows.mask, dtype=jnp.float32))


def ctc(
    logits: Float[Array, "b n k"], frames: Bool[Array, "b n"], words: Int[Array, "b t"], mask: Bool[Array, "b t"]
) -> Float[Array, " b"]:
    """Nats of each row; infinite, without a gradient, where its words do not fit the frames, NaN for unknown words.

    words: from 1 to k-1, the masked ones last. A row without words is one in which nothing is said.
    """
    logs = jax.nn.log_softmax(logits)
    known = jnp.all(~mask | ((words > 0) & (words < logits.shape[-1])), axis=1)
    spelled = _spelled(jnp.where(mask & known[:, None], words, 0))
    again = jnp.pad(spelled[:, 2:] == spelled[:, :-2], ((0, 0), (2, 0)), constant_values=True)
    each = jnp.take_along_axis(logs, jnp.broadcast_to(spelled[:, None], (*logs.shape[:2], spelled.shape[1])), axis=2)
    start = jnp.where(jnp.arange(spelled.shape[1]) == 0, 0.0, _NEVER)  # before the first frame, at the first none
    carry = jnp.broadcast_to(start, spelled.shape).astype(logs.dtype), jnp.zeros(len(logs), logs.dtype)

    def step(carry: Any, frame: Any) -> tuple[Any, None]:
        chances, total = carry
        said, real = frame
        moved = _sum(chances, _later(chances, 1), jnp.where(again, _NEVER, _later(chances, 2))) + said
        # Chances are kept relative to the best of them, or float32 would round away how they differ.
        best = jax.lax.stop_gradient(jnp.max(moved, axis=1))
        real_ = real[:, None]
        return (jnp.where(real_, moved - best[:, None], chances), jnp.where(real, total + best, total)), None

    (chances, total), _ = jax.lax.scan(step, carry, (each.swapaxes(0, 1), frames.T))
    last = 2 * jnp.sum(mask, axis=1, dtype=jnp.int32)[:, None]
    ends = jnp.take_along_axis(chances, jnp.concatenate([last, jnp.maximum(last - 1, 0)], axis=1), axis=1)
    ends = jnp.where((last > 0) | (jnp.arange(2) == 0), ends, _NEVER)
    fits = jnp.sum(frames, axis=1) >= needed(words, mask)
    losses = -total - jnp.logaddexp(*jnp.where(fits[:, None], ends, 0.0).T)
    return jnp.where(known, jnp.where(fits, losses, jnp.inf), jnp.nan)


def needed(words: Int[Array, "b t"], mask: Bool[Array, "b t"]) -> Int[Array, " b"]:
    """How many frames it takes to say these words: one each, and one between two that are the same."""
    twice = (words[:, 1:] == words[:, :-1]) & mask[:, 1:]
    return jnp.sum(mask, axis=1) + jnp.sum(twice, axis=1)


def _spelled(words: Array) -> Array:
    """``b 2t+1``: the words with none before, between and after them."""
    b, t = words.shape
    return jnp.zeros((b, 2 * t + 1), words.dtype).at[:, 1::2].set(words)


def _later(chances: Array, by: int) -> Array:
    return jnp.pad(chances, ((0, 0), (by, 0)), constant_values=_NEVER)[:, : chances.shape[1]]


def _sum(*logs: Array) -> Array:
    return jax.nn.logsumexp(jnp.stack(logs), axis=0)
