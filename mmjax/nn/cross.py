"""Tokens that look at other tokens."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.core import Tokens, masks, plain
from mmjax.nn import cache, norm
from mmjax.nn.attention import Attention
from mmjax.nn.mlp import Mlp


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
    Without ``context_norm`` the context is taken as it comes; ``swish`` gives the MLP a gate of its own
    (``nn.Mlp(gated=True)``). Other fields are those of ``nn.Block``.

    With ``keep`` what is heard is kept in the collection ``cache``, and read from there where the context has a mask
    but no tokens (``nn.cache``).
    """

    heads: int
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    gated: bool = False
    dtype: str = "float32"
    kv_heads: int = 0
    head_size: int = 0
    context_norm: bool = True
    activation: str = "gelu"
    swish: bool = False
    bias: bool = True
    key_bias: bool = False
    norm: str = "layer"
    norm_first: bool = True
    epsilon: float = 1e-6
    stddev: float = 0.0
    shrink: float = 1.0

    @linen.compact
    def __call__(self, tokens: Tokens, context: Tokens | None, *, train: bool, keep: bool = False) -> Tokens:
        values = tokens.values
        if context is not None:
            heard = self._heard(self._before("attention_norm", values), tokens, context, keep)
            values = self._add(values, heard, "attention_gate", train)
            values = self._after("attention_norm", values)
        if self.mlp:
            mlp = Mlp(self.mlp, **{**plain.common(Mlp, self), "gated": self.swish}, name="mlp")
            values = self._add(values, mlp(self._before("mlp_norm", values), train=train), "mlp_gate", train)
            values = self._after("mlp_norm", values)
        return tokens.replace(values=values)

    @linen.nowrap
    def _heard(self, values: jax.Array, tokens: Tokens, context: Tokens, keep: bool) -> jax.Array:
        """What the tokens, normed already, hear of the context; 0 where there is nothing."""
        others = context.values if keep else masks.zeroed(context.values, context.mask)
        others = self._norm("context_norm", others) if self.context_norm else others
        among: Any = allowed(tokens, context)
        attention = Attention(**plain.common(Attention, self), name="attention")
        heard = attention(values, others, allowed=cache.Looked(among) if keep else among)
        return masks.zeroed(heard, hears(tokens, context))

    @linen.nowrap
    def _norm(self, name: str, values: jax.Array) -> jax.Array:
        return norm.features(self.norm, epsilon=self.epsilon, dtype=self.dtype, name=name)(values)

    @linen.nowrap
    def _before(self, name: str, values: jax.Array) -> jax.Array:
        return self._norm(name, values) if self.norm_first else values

    @linen.nowrap
    def _after(self, name: str, values: jax.Array) -> jax.Array:
        return values if self.norm_first else self._norm(name, values)

    def _add(
        self, values: Float[Array, "b q d"], branch: Float[Array, "b q d"], gate: str, train: bool
    ) -> Float[Array, "b q d"]:
        if self.gated:
            branch *= jnp.tanh(self.param(gate, linen.initializers.zeros, ())).astype(branch.dtype)
        branch = linen.Dropout(self.dropout, deterministic=not train)(branch)
        return values + linen.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=not train)(branch)
