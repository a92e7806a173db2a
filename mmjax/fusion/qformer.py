"""Querying transformer: learned queries that talk among themselves and, now and then, look at the streams."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class QFormer(linen.Module):
    """``queries`` learned tokens through a transformer (BLIP-2, Li et al., 2023, https://arxiv.org/abs/2301.12597).

    In every layer the queries look at each other; in the first and each ``every``-th after it they also look at
    the tokens of all modalities, between self-attention and MLP. Pre-LN. Gives the queries.

    Raises UserError for packed rows.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    queries: int = 8
    every: int = 2
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.QFormer")
        dtype = jnp.dtype(self.dtype)
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        context, here = stream.joined(list(own.values())), stream.anyone(own)
        start = self.param("queries_start", linen.initializers.normal(0.5), (self.queries, self.width)).astype(dtype)
        mask = jnp.broadcast_to(here[:, None], (len(here), self.queries))
        tokens = Tokens(jnp.broadcast_to(start, (len(here), *start.shape)), mask)
        for i in range(self.depth):
            tokens = self._layer(i, tokens, context if i % self.every == 0 else None, train)
        values = linen.LayerNorm(dtype=dtype, name="norm")(tokens.values)
        return tokens.replace(values=masks.zeroed(values, mask))

    def _layer(self, i: int, tokens: Tokens, context: Tokens | None, train: bool) -> Tokens:
        among = linen.LayerNorm(dtype=jnp.dtype(self.dtype), name=f"norm_{i}")(tokens.values)
        among = nn.Attention(self.heads, dtype=self.dtype, name=f"attention_{i}")(among)
        among = linen.Dropout(self.dropout, deterministic=not train)(among)
        block = nn.CrossBlock(**plain.common(nn.CrossBlock, self), name=f"block_{i}")
        return block(tokens.replace(values=tokens.values + among), context, train=train)
