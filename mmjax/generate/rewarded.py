"""What a model's answers are worth, in an evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Batch, Factored
from mmjax.core.rows import Rows
from mmjax.generate import choice, reward
from mmjax.generate.choice import Choice
from mmjax.metrics import bootstrap
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import gather


@dataclass(frozen=True)
class Rewarded:
    """One answer to each prompt, drawn by ``how``: its mean ``reward``, and how often it beats the data's own answer.

    ``preferred`` is the share of prompts whose answer is worth more than what really followed, ties counted half. So
    two policies are measured against one opponent. prompt, words: how many tokens of a row are its prompt, and how many
    are drawn. It stands in ``Evaluator.metrics``, for ``datasets.Texts``.
    """

    kinds: ClassVar[tuple[str, ...]] = ("words",)

    reward: Any
    prompt: int
    words: int
    how: Choice = Choice()
    target: str = "next"
    head: str | None = None
    stream: str = "text"
    seed: int = 0

    def said(self, apply: Callable[..., Any], batch: Batch, field: Any) -> Rows:
        """``scores`` are the ids of a prompt, of what was drawn after it, and of what really followed, -1 behind."""
        text, follows = batch.inputs[self.stream], batch.targets[self.target]
        ids, places = jnp.where(text.mask, text.values, 0), jnp.arange(text.mask.shape[1])
        has = jnp.sum(follows.mask, axis=1) >= self.prompt + self.words - 1
        own = jnp.where(places < self.prompt, ids, 0)
        rows = jnp.arange(len(ids))
        # A row's noise depends on what it says, so that figures do not depend on how rows were batched.
        marks = jnp.sum(ids * (1 + places), axis=1).astype(jnp.uint32)
        keys = jax.vmap(lambda mark: jax.random.fold_in(jax.random.key(self.seed), mark))(marks)

        def step(own: Any, t: Any) -> tuple[Any, Any]:
            held = text.replace(values=own, mask=jnp.broadcast_to(places < t, text.mask.shape))
            scores = apply({**batch.inputs, self.stream: held}).heads[self.head or self.target]
            logits = _at(scores, t - 1)
            word = choice.chosen(logits, None, self.how.numbers(), jax.vmap(jax.random.fold_in, (0, None))(keys, t),
                                 self.how.kind)  # fmt: skip
            return own.at[rows, t].set(word, mode="drop"), word

        _, drawn = jax.lax.scan(step, own, self.prompt + jnp.arange(self.words))
        after = follows.values[:, self.prompt - 1 : self.prompt + self.words - 1]
        return Rows(jnp.concatenate([ids[:, : self.prompt], drawn.T, after], axis=1), jnp.zeros(len(ids)), has)

    def compute(
        self, rows: Rows, *, field: Any, row: Any = None, resamples: int = 1000, seed: int = 0
    ) -> dict[str, Any]:
        """``{"reward": {"value", "low", "high"}, "preferred": ..., "count"}``."""
        rows = gather([rows])
        texts = [
            [
                field.tokenizer.decode(part[part < field.tokenizer.size].tolist())
                for part in np.split(ids, [self.prompt, self.prompt + self.words])
            ]
            for ids in rows.scores
        ]
        prompts, drawn, after = zip(*texts, strict=True) if texts else ((), (), ())
        mine, theirs = (reward.each(self.reward, prompts, said, after) for said in (drawn, after))
        wins = (mine > theirs) + 0.5 * (mine == theirs)

        def measure(weights: Any) -> Measured:
            counts = weights.sum(axis=1)
            means = {"reward": mine, "preferred": wins}
            return Measured({name: ratio(weights @ each, counts, empty=np.nan) for name, each in means.items()})

        found = bootstrap.estimate(measure, rows=len(mine), resamples=resamples, seed=seed).figures
        return {**found, "count": len(mine)}


def _at(scores: Any, place: Any) -> Any:
    """Logits ``b k`` at one place."""
    if not isinstance(scores, Factored):
        return scores[:, place]
    features = jnp.take(scores.features, place, axis=1)
    return jnp.einsum("bd,dk->bk", features, scores.kernel.astype(features.dtype), preferred_element_type=jnp.float32)
