"""What a model that talks answers, against what would have been right."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from mmjax.core import Batch, Factored, Signal
from mmjax.core.rows import Rows
from mmjax.metrics import answer, bootstrap
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import gather
from mmjax.metrics.sentence import FIGURES, sentences

Apply = Callable[[Mapping[str, Signal]], Any]  # inputs to Outputs


@dataclass(frozen=True)
class Replies:
    """Answers, at each place the likeliest word, held against those of a ``fields.Reply`` (``metrics.sentences``).

    figures: which of ``metrics.sentence.FIGURES``. without: modalities that are hidden, as to see what a question
    tells alone. Where the field tells groups apart, each has its figures, too; where it tells which rows stay together,
    intervals are over those (``bootstrap.resampled``).

    It asks the model word by word, and so is called in another way than metrics that read one pass: ``said``.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    target: str = "next"
    head: str | None = None
    stream: str = "text"
    figures: tuple[str, ...] = FIGURES
    without: tuple[str, ...] = ()

    def said(self, apply: Apply, batch: Batch, field: Any) -> Rows:
        """``scores`` are the ids ``b t`` of what was said, -1 after it; rows without an answer are masked."""
        inputs = {
            name: signal.replace(mask=signal.mask & (name not in self.without)) for name, signal in batch.inputs.items()
        }
        known = batch.targets[self.target].mask
        has = jnp.any(known, axis=1)
        own = inputs[self.stream]
        begin = jnp.where(has, jnp.argmax(known, axis=1) + 1, jnp.sum(own.mask, axis=1))
        inputs[self.stream] = own.replace(mask=own.mask & (jnp.arange(own.mask.shape[1]) < begin[:, None]))
        found, _ = replies(
            apply, inputs, stream=self.stream, head=self.head or self.target, tokens=field.prompt.reply,
            end=field.tokenizer.end,
        )  # fmt: skip
        return Rows(found, jnp.zeros(len(found), jnp.int32), has)

    def compute(
        self, rows: Rows, *, field: Any, row: Callable[[int], Any], resamples: int = 1000, seed: int = 0
    ) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, ``majority``, ``per_group`` and ``count``.

        majority: exact match of the commonest answer in training, or of the commonest in training of the group.
        row: the row of an example's number, which holds all answers that are right.
        """
        rows = gather([rows])
        given = [row(int(i)) for i in rows.index]
        said = [field.tokenizer.decode(ids) for ids in rows.scores]
        right = [field.prompt.answers(one) for one in given]
        groups = np.array([field.group(one) for one in given])
        ties = [field.tie(one) or i for i, one in enumerate(given)] if field.together else []

        def measured(chosen: np.ndarray, group: str) -> dict[str, Any]:
            own = {"resamples": resamples, "seed": seed, "together": [ties[i] for i in chosen] if ties else ()}
            wanted = [right[i] for i in chosen]
            found = sentences([said[i] for i in chosen], wanted, figures=self.figures, **own)
            return {**found, "majority": _majority(field.common.get(group, ""), wanted, **own)}

        every = measured(np.arange(len(said)), "")
        names = sorted(set(groups) - {""}) if field.by else []
        per_group = {name: measured(np.flatnonzero(groups == name), name) for name in map(str, names)}
        for found in per_group.values():
            found["support"] = found.pop("count")
        return every | ({"per_group": per_group} if per_group else {})


def replies(
    apply: Apply, inputs: Mapping[str, Signal], *, stream: str, head: str, tokens: int, end: int
) -> tuple[Int[Array, "b t"], Any]:
    """What follows each prompt, at every place the likeliest word, and the probability of all these words together.

    Prompts of all rows are continued at once, each from its own length, until all have ended or have said ``tokens``
    words; after its end, which is not among them, a row has -1. ``stream`` has room for the words said.
    """
    ids, mask = jnp.asarray(inputs[stream].values), jnp.asarray(inputs[stream].mask)
    lengths = jnp.sum(mask, axis=1)
    b, n = ids.shape
    rows, places = jnp.arange(b), jnp.arange(n)

    def more(state: dict[str, Any]) -> Any:
        return (state["t"] < tokens) & ~jnp.all(state["ended"])

    def step(state: dict[str, Any]) -> dict[str, Any]:
        t, at = state["t"], lengths + state["t"]
        held = inputs[stream].replace(values=state["ids"], mask=places < at[:, None])
        logs = jax.nn.log_softmax(_logits(apply({**inputs, stream: held}).heads[head], jnp.clip(at - 1, 0, n - 1)))
        word = jnp.argmax(logs, axis=1).astype(jnp.int32)
        ended = state["ended"] | (word == end)
        return {
            "t": t + 1,
            "ids": state["ids"].at[rows, at].set(word, mode="drop"),
            "said": state["said"].at[:, t].set(jnp.where(ended, -1, word)),
            "ended": ended,
            "sure": state["sure"] + jnp.where(state["ended"], 0.0, logs[rows, word]),
        }

    start = {"t": jnp.int32(0), "ids": jnp.where(mask, ids, 0), "said": jnp.full((b, tokens), -1, jnp.int32)}
    # A row without a prompt, as those that fill up a batch, has nothing to answer.
    last = jax.lax.while_loop(more, step, start | {"ended": lengths == 0, "sure": jnp.zeros(b)})
    return last["said"], jnp.exp(last["sure"])


def _logits(scores: Any, at: Int[Array, " b"]) -> Any:
    """``b k`` at one place of each row."""
    values = scores.features if isinstance(scores, Factored) else scores
    own = jnp.take_along_axis(values, at[:, None, None], axis=1)[:, 0]
    if not isinstance(scores, Factored):
        return own.astype(jnp.float32)
    return jnp.einsum("bd,dk->bk", own, scores.kernel.astype(own.dtype), preferred_element_type=jnp.float32)


def _majority(common: str, right: Any, *, together: Sequence[Hashable], **own: int) -> dict[str, Any]:
    hits = np.array([answer.exact(common, several) for several in right], np.float64)

    def measure(weights: Any) -> Measured:
        return Measured({"majority": ratio(weights @ hits, weights.sum(axis=1), empty=np.nan)})

    ties = bootstrap.clusters(together)
    found = bootstrap.estimate(measure, rows=len(hits), together=ties, **own).figures["majority"]
    return {**found, "answer": common}
