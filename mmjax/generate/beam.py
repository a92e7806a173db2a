"""Beam search: the continuation whose words are likeliest together, as far as so many beams can see."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Signal, UserError
from mmjax.generate.decoder import Decoder
from mmjax.nn import cache


class Beams:
    """Search with ``count`` beams, a prompt at a time. Scores are log-probabilities over length ** ``penalty``."""

    def __init__(self, decoder: Decoder, count: int, *, penalty: float = 1.0):
        words = decoder.model.vocabulary
        if not 1 <= count <= words // 2:
            raise UserError(f"beams={count} must be from 1 to {words // 2}, half of the {words} words")
        self.decoder, self.count, self.penalty = decoder, count, penalty
        self._start, self._grow = jax.jit(self._started), jax.jit(self._grown)

    def __call__(
        self, prompt: Sequence[int], *, tokens: int, end: int | None, inputs: Mapping[str, Signal] | None = None
    ) -> list[int]:
        """The best continuation of at most ``tokens`` words, its end left out. inputs: as of ``Decoder.begin``."""
        if not 1 <= len(prompt) <= self.decoder.slots:
            raise UserError(f"prompts must have 1 to {self.decoder.slots} tokens, not {len(prompt)}")
        limit = min(tokens, self.decoder.slots - len(prompt) + 1)
        ids = np.zeros((1, self.decoder.bucket(len(prompt))), np.int32)
        ids[0, : len(prompt)] = prompt
        found, kept = self._start(self.decoder.weights, ids, np.array([len(prompt)], np.int32), dict(inputs or {}))
        running: list[list[int]] = [[]]
        finished: list[tuple[float, list[int]]] = []
        for length in range(1, limit + 1):
            scores, parents, words = (np.asarray(part) for part in found)
            grown, chosen = [], []
            for rank, (score, parent, word) in enumerate(zip(scores, parents, words, strict=True)):
                if word == end:
                    if rank < self.count:
                        finished.append((score / length**self.penalty, running[parent]))
                elif len(grown) < self.count:
                    grown.append([*running[parent], int(word)])
                    chosen.append(rank)
            running = grown
            if length == limit or self._done(finished, scores[0] / length**self.penalty):
                finished += [
                    (scores[rank] / length**self.penalty, ids) for rank, ids in zip(chosen, running, strict=True)
                ]
                break
            places = np.full(self.count, len(prompt) + length - 1, np.int32)
            step = {"scores": scores[chosen], "parents": parents[chosen], "words": words[chosen], "places": places}
            found, kept = self._grow(self.decoder.weights, kept, step)
        return max(finished, key=lambda one: one[0])[1]

    def _done(self, finished: list[tuple[float, list[int]]], best: float) -> bool:
        """Whether no beam can become better than as many as there are beams that have ended."""
        ended = sorted((score for score, _ in finished), reverse=True)[: self.count]
        return len(ended) == self.count and best <= ended[-1]

    def _started(self, weights: Any, ids: Any, lengths: Any, inputs: Any) -> Any:
        signal = Signal(ids, jnp.arange(ids.shape[1]) < lengths[:, None])
        logits, kept = self.decoder.read(weights, {}, signal, lengths - 1, inputs)
        return self._best(jnp.zeros(1), logits), kept

    def _grown(self, weights: Any, kept: Any, step: dict[str, Any]) -> Any:
        own = cache.taken(kept, step["parents"])
        places = step["places"][:, None]
        signal = Signal(step["words"][:, None], jnp.ones(places.shape, bool), positions=places)
        logits, kept = self.decoder.read(weights, own, signal, jnp.zeros(len(places), jnp.int32))
        return self._best(step["scores"], logits), kept

    def _best(self, scores: Any, logits: Any) -> tuple[Any, Any, Any]:
        """Scores, beams and words of the best continuations: twice as many as there are beams, for some may end."""
        together = scores[:, None] + jax.nn.log_softmax(logits)
        scores, flat = jax.lax.top_k(together.reshape(-1), 2 * self.count)
        return scores, flat // logits.shape[1], (flat % logits.shape[1]).astype(jnp.int32)
