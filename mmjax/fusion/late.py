"""Late fusion: every modality goes its own way to the end."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, UserError, masks
from mmjax.fusion import pooled


class Late(linen.Module):
    """Streams pooled and joined: one token a row, or one for each of up to ``segments`` packed examples (the fusion of
    top layers of Ngiam et al., 2011, https://icml.cc/2011/papers/399_icmlpaper.pdf, without its autoencoder).

    Each stream's mean is projected without bias and the projections are added up, which is the same as one
    linear layer over their concatenation; an absent stream adds nothing. ``depth`` residual MLPs follow.
    ``spread`` takes each stream's standard deviation in place of its mean.

    Raises UserError for ``spread`` of packed rows.
    """

    width: int = 64
    depth: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    spread: bool = False
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = {name: self._pooled(streams[name]) for name in sorted(streams)}
        total: Any = sum(
            linen.Dense(self.width, use_bias=False, dtype=dtype, name=f"project_{name}")(part.values)
            for name, part in means.items()
        )
        for i in range(self.depth):
            normed = nn.LayerNorm(dtype=dtype, name=f"norm_{i}")(total)
            mlp = nn.Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name=f"mlp_{i}")
            total += mlp(normed, train=train)
        return pooled.token(jnp.asarray(total), means, segments=self.segments)

    def _pooled(self, tokens: Tokens) -> Tokens:
        if not self.spread:
            return nn.pool.means(tokens, segments=self.segments)
        if self.segments or tokens.segments is not None:
            raise UserError("fusion.Late(spread=True) takes one example a row; leave spread out for packed rows")
        here = masks.present(tokens.mask)
        values = masks.zeroed(nn.pool.deviation(tokens.values, tokens.mask), here)
        return Tokens(values[:, None], here[:, None])
