"""Tokens to a row of numbers."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax.core import Tokens
from mmjax.nn import pool
from mmjax.nn.feature import LayerNorm


class Readout(linen.Module):
    """Masked mean, LayerNorm and a linear layer to ``outputs`` numbers, all in float32.

    With ``segments`` = s, rows pack up to s examples, and each of them has its own answer: ``b s k``. ``apart``: the
    readout learns, but what it reads learns nothing from it.
    """

    outputs: int
    dropout: float = 0.0
    segments: int = 0
    apart: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b *s k"]:
        values = jax.lax.stop_gradient(tokens.values) if self.apart else tokens.values
        tokens = tokens.replace(values=values.astype(jnp.float32))
        pooled = pool.means(tokens, segments=self.segments).values
        pooled = LayerNorm(name="norm")(pooled if self.segments else pooled[:, 0])
        pooled = linen.Dropout(self.dropout, deterministic=not train)(pooled)
        return linen.Dense(self.outputs, name="project")(pooled)
