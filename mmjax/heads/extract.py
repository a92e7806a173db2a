"""What a decoder knows at a text's last token, which has seen all of it."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens


class Extract(linen.Module):
    """Logits ``b classes`` in float32, by one linear layer from the last token: how GPT-1 is fine-tuned.

    Radford et al., 2018, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    Where a text was read in several ways, at most ``readings`` of them, each a segment of its row
    (``fields.Readings``), their last tokens are added up: so two texts are compared in either order. There is no norm
    here: a decoder's layers, or what comes after them, end with one.
    """

    classes: int
    readings: int = 1
    dropout: float = 0.1

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        last = nn.pool.lasts(tokens, segments=self.readings)
        together = jnp.sum(last.values.astype(jnp.float32), axis=1)
        together = linen.Dropout(self.dropout, deterministic=not train)(together)
        return linen.Dense(self.classes, kernel_init=linen.initializers.normal(0.02), name="project")(together)


class Choose(linen.Module):
    """Which of ``classes`` readings is right: logits ``b classes`` in float32, each from its reading's last token.

    Readings are segments of a row, numbered from 1 (``fields.Readings``); one that is missing is never chosen. Source
    as ``Extract``.
    """

    classes: int
    dropout: float = 0.1

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        last = nn.pool.lasts(tokens, segments=self.classes)
        values = linen.Dropout(self.dropout, deterministic=not train)(last.values.astype(jnp.float32))
        scores = linen.Dense(1, False, kernel_init=linen.initializers.normal(0.02), name="project")(values)[..., 0]
        return jnp.where(last.mask, scores, jnp.where(jnp.any(last.mask, axis=1, keepdims=True), _NEVER, 0.0))


_NEVER = -1e4  # its probability is 0, and its logarithm finite
