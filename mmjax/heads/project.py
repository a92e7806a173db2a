"""Tokens to tokens of another width."""

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens, masks


class Project(linen.Module):
    """For every token ``width`` numbers in float32, a linear layer; masked tokens are 0. ``Tokens`` ``b n width``.

    Reads what is fused, or one ``stream`` alone.
    """

    width: int
    stream: str = ""

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.float32)
        return tokens.replace(values=masks.zeroed(linen.Dense(self.width, name="project")(values), tokens.mask))
