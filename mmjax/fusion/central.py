"""Summing at several depths: a central network beside those of the modalities."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, plain
from mmjax.fusion import pooled, stream


class Central(linen.Module):
    """CentralNet (Vielzeuf et al., 2018, https://arxiv.org/abs/1808.07275): one token that is fed at every depth.

    Each stream has ``depth`` transformer layers of its own. Before the first and after each, their mean tokens are
    added to the central token with learned weights, which a residual MLP then takes on; an absent stream adds
    nothing. Gives the central token, or one for each of up to ``segments`` packed examples. The paper also trains the
    end of each stream's own network by a loss; here a head with ``stream=`` does so where its encoder ends.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        means = pooled.means(own, segments=self.segments)
        central = self._sum(0, means)
        for i in range(self.depth):
            for name, tokens in own.items():
                block = nn.Block(**plain.common(nn.Block, self), name=f"block_{i}_{name}")
                values = block(tokens.values, nn.cross.allowed(tokens, tokens), train=train)
                own[name] = tokens.replace(values=values)
            means = pooled.means(own, segments=self.segments)
            weight = self.param(f"weight_{i + 1}", linen.initializers.ones, ()).astype(central.dtype)
            central = weight * central + self._sum(i + 1, means)
            normed = nn.LayerNorm(dtype=jnp.dtype(self.dtype), name=f"norm_{i}")(central)
            mlp = nn.Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name=f"mlp_{i}")
            central += mlp(normed, train=train)
        return pooled.token(central, means, segments=self.segments)

    def _sum(self, i: int, means: Mapping[str, Tokens]) -> jax.Array:
        weights = {name: self.param(f"weight_{i}_{name}", linen.initializers.ones, ()) for name in means}
        return jnp.asarray(sum(weights[name].astype(part.values.dtype) * part.values for name, part in means.items()))
