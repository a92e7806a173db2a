"""Late fusion: every modality goes its own way to the end."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks


class Late(linen.Module):
    """Streams pooled and joined: one token a row.

    Each stream's mean is projected without bias and the projections are added up, which is the same as one
    linear layer over their concatenation; an absent stream adds nothing. ``depth`` residual MLPs follow.
    """

    width: int = 64
    depth: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        total, here = jnp.zeros((), dtype), jnp.zeros((), bool)
        for name in sorted(streams):
            pooled = nn.pool.mean(streams[name].values, streams[name].mask)
            total += linen.Dense(self.width, use_bias=False, dtype=dtype, name=f"project_{name}")(pooled)
            here |= masks.present(streams[name].mask)
        for i in range(self.depth):
            normed = linen.LayerNorm(dtype=dtype, name=f"norm_{i}")(total)
            mlp = nn.Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name=f"mlp_{i}")
            total += mlp(normed, train=train)
        return Tokens(masks.zeroed(total, here)[:, None], here[:, None])
