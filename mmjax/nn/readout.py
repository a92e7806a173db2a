"""Tokens to a row of numbers."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax.core import Tokens
from mmjax.nn import pool


class Readout(linen.Module):
    """Masked mean, LayerNorm and a linear layer to ``outputs`` numbers, all in float32."""

    outputs: int
    dropout: float = 0.0

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        pooled = pool.mean(tokens.values.astype(jnp.float32), tokens.mask)
        pooled = linen.LayerNorm(name="norm")(pooled)
        pooled = linen.Dropout(self.dropout, deterministic=not train)(pooled)
        return linen.Dense(self.outputs, name="project")(pooled)
