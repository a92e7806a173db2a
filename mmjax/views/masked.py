"""Some words of a text are replaced, and asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError


@dataclass(frozen=True)
class MaskedWords:
    """BERT's masked words (Devlin et al., 2018, https://arxiv.org/abs/1810.04805): each word is chosen with probability
    ``share``, and what it was is asked for by ``target``, ``b n``. Of the chosen 80 % become the id ``mask``, 10 % any
    id from ``least`` to below ``words``, 10 % stay: the first two are ``ways``. To measure with, ``(1.0, 0.0)`` hides
    all of them, so that no answer stands in the text.

    mask: an id that no word has; the encoder's ``vocabulary`` has to have room for it. never: ids that are not
    chosen, as those that begin and end a text. Padding is neither chosen nor counted; packed rows stay as they are.
    """

    mask: int
    words: int
    stream: str = "text"
    target: str = "masked"
    share: float = 0.15
    least: int = 0
    never: Sequence[int] = ()
    ways: tuple[float, float] = (0.8, 0.1)

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or not 0 <= self.least < self.words:
            raise UserError(
                f"views.MaskedWords: 0 < share={self.share} <= 1 and 0 <= least={self.least} < words={self.words}"
            )
        if min(self.ways) < 0 or sum(self.ways) > 1:
            raise UserError(f"views.MaskedWords: ways={self.ways} are two shares of what is chosen")

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        if self.stream not in batch.inputs:
            raise UserError(
                f"views.MaskedWords: there is no modality {self.stream!r}; there are {', '.join(batch.inputs)}"
            )
        signal = batch.inputs[self.stream]
        ids, real = jnp.asarray(signal.values), jnp.asarray(signal.mask)
        chosen_key, way_key, word_key = jax.random.split(key, 3)
        chosen = real & jax.random.bernoulli(chosen_key, self.share, ids.shape)
        for word in self.never:
            chosen &= ids != word
        way = jax.random.uniform(way_key, ids.shape)
        drawn = jax.random.randint(word_key, ids.shape, self.least, self.words, ids.dtype)
        hidden, other = self.ways[0], sum(self.ways)
        put = jnp.where(way < hidden, jnp.asarray(self.mask, ids.dtype), jnp.where(way < other, drawn, ids))
        replaced = signal.replace(values=jnp.where(chosen, put, ids))
        inputs = {**batch.inputs, self.stream: replaced}
        return batch.replace(inputs=inputs, targets={**batch.targets, self.target: Signal(ids, chosen)})
