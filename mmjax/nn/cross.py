"""Tokens that look at other tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.core import Tokens, masks
from mmjax.nn.attention import Attention
from mmjax.nn.block import Mlp


def allowed(tokens: Tokens, context: Tokens) -> Bool[Array, "b 1 q n"]:
    """Which of the real ``context`` each token may look at: of packed rows that of its own segment."""
    if tokens.segments is None or context.segments is None:
        return masks.attention(tokens.mask, context.mask)
    return masks.attention(tokens.mask, context.mask, query_segments=tokens.segments, key_segments=context.segments)


def hears(tokens: Tokens, context: Tokens) -> Bool[Array, "b q"]:
    """Whether there is anything in ``context`` for a token to look at."""
    return jnp.any(allowed(tokens, context), axis=(1, 3))


class CrossBlock(linen.Module):
    """Pre-LN cross-attention and an MLP, each added to the tokens.

    Tokens with nothing to look at (``context`` masked, or None) hear nothing: the first branch adds 0. With
    ``gated``, each branch goes through the tanh of a learned number that starts at 0, so that a fresh layer changes
    nothing (Flamingo, Alayrac et al., 2022, https://arxiv.org/abs/2204.14198). An ``mlp`` of 0 leaves the MLP out.
    """

    heads: int
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    gated: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, context: Tokens | None, *, train: bool) -> Tokens:
        values = tokens.values
        if context is not None:
            normed = self._norm("attention_norm", values)
            others = self._norm("context_norm", masks.zeroed(context.values, context.mask))
            attention = Attention(self.heads, dtype=self.dtype, name="attention")
            heard = attention(normed, others, allowed=allowed(tokens, context))
            values = self._add(values, masks.zeroed(heard, hears(tokens, context)), "attention_gate", train)
        if self.mlp:
            mlp = Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name="mlp")
            values = self._add(values, mlp(self._norm("mlp_norm", values), train=train), "mlp_gate", train)
        return tokens.replace(values=values)

    def _norm(self, name: str, values: jax.Array) -> jax.Array:
        return linen.LayerNorm(dtype=jnp.dtype(self.dtype), name=name)(values)

    def _add(
        self, values: Float[Array, "b q d"], branch: Float[Array, "b q d"], gate: str, train: bool
    ) -> Float[Array, "b q d"]:
        if self.gated:
            branch *= jnp.tanh(self.param(gate, linen.initializers.zeros, ())).astype(branch.dtype)
        branch = linen.Dropout(self.dropout, deterministic=not train)(branch)
        return values + linen.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=not train)(branch)
