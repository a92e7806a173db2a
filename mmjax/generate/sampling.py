"""Answers to a whole batch of prompts in one compiled program: the prompts are read once, then word follows word."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from mmjax.core import Batch, Signal
from mmjax.generate import choice
from mmjax.generate.choice import Choice
from mmjax.generate.decoder import Decoder


@dataclass(frozen=True)
class Sampler:
    """``words`` at most are drawn after each prompt; ``end`` is the word that ends an answer, -1 for none."""

    model: Any
    words: int
    end: int

    def __call__(self, weights: Any, inputs: Mapping[str, Signal], key: Any, how: Choice) -> Int[Array, "b w"]:
        """Ids, the end among them, and -1 behind it. A row's words depend on the key and its number alone."""
        text = inputs[self.model.stream]
        others = {name: signal for name, signal in inputs.items() if name != self.model.stream}
        lengths = jnp.sum(text.mask, axis=1)
        decoder = Decoder(self.model, {}, slots=text.mask.shape[1])
        logits, kept = decoder.read(weights, {}, text, lengths - 1, others)
        seen = _seen(text, logits.shape[1]) if how.kind.remembers else None

        def said(logits: Any, seen: Any, ended: Any, t: Any) -> tuple[Any, Any, Any]:
            own = jax.random.fold_in(key, t)
            keys = jax.vmap(lambda row: jax.random.fold_in(own, row))(jnp.arange(len(logits)))
            word = choice.chosen(logits, seen, how.numbers(), keys, how.kind)
            seen = None if seen is None else seen.at[jnp.arange(len(word)), word].set(True)
            return jnp.where(ended, -1, word), seen, ended | (word == self.end)

        def step(carry: Any, t: Any) -> tuple[Any, Any]:
            word, kept, seen, ended = carry
            places = (lengths + t - 1)[:, None]
            here = Signal(jnp.maximum(word, 0)[:, None], jnp.ones(places.shape, bool), positions=places)
            logits, kept = decoder.read(weights, kept, here, jnp.zeros(len(places), jnp.int32))
            word, seen, ended = said(logits, seen, ended, t)
            return (word, kept, seen, ended), word

        first, seen, ended = said(logits, seen, jnp.zeros(len(lengths), bool), 0)
        _, rest = jax.lax.scan(step, (first, kept, seen, ended), jnp.arange(1, self.words))
        return jnp.concatenate([first[:, None], rest.T], axis=1)


def asked(text: Signal, lengths: np.ndarray) -> Signal:
    """The prompts alone, on the host: of each row so many tokens."""
    mask = np.arange(text.mask.shape[1]) < lengths[:, None]
    return Signal(np.where(mask, text.values, 0), mask)


def answered(batch: Batch, said: Int[Array, "b w"], *, stream: str, target: str) -> Batch:
    """Prompts with answers as a batch to learn from: for each token the one that follows, known within the answer."""
    text = batch.inputs[stream]
    lengths, counts = jnp.sum(text.mask, axis=1)[:, None], jnp.sum(said >= 0, axis=1)[:, None]
    places = jnp.arange(text.mask.shape[1] + 1)
    own = jnp.take_along_axis(said, jnp.clip(places - lengths, 0, said.shape[1] - 1), axis=1)
    answer = (places >= lengths) & (places < lengths + counts)
    ids = jnp.where(answer, own, jnp.pad(text.values, ((0, 0), (0, 1))))
    mask = places < lengths + counts - 1
    words = Signal(jnp.where(mask, ids, 0)[:, :-1], mask[:, :-1])
    follows = Signal(jnp.where(answer, ids, 0)[:, 1:], answer[:, 1:])
    return Batch({**batch.inputs, stream: words}, {**batch.targets, target: follows})


def _seen(text: Signal, words: int) -> Bool[Array, "b k"]:
    """Which words each prompt has."""
    rows = jnp.arange(len(text.mask))[:, None]
    at = jnp.where(text.mask & (text.values >= 0), text.values, words)
    return jnp.zeros((len(text.mask), words), bool).at[rows, at].set(True, mode="drop")
