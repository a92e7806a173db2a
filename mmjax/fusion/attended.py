"""Attention over modalities."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens
from mmjax.fusion import pooled


class Attended(linen.Module):
    """Projected means, weighted by a softmax over the streams that are present.

    Attention-based multimodal fusion (Hori et al., 2017, https://arxiv.org/abs/1701.03126): each stream's score
    comes from its own vector, by a small network that all share. One token a row, or one for each of up to
    ``segments`` packed examples.
    """

    width: int = 64
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = pooled.means(streams, segments=self.segments)
        hidden = linen.Dense(self.width, dtype=dtype, name="attention")
        score = linen.Dense(1, use_bias=False, dtype=dtype, name="score")  # a softmax does not see a bias
        parts = {
            name: nn.embed.project(self.width, stream=name, dtype=self.dtype)(part.values)
            for name, part in means.items()
        }
        shares = pooled.shares({name: score(jnp.tanh(hidden(part))) for name, part in parts.items()}, means)
        total = sum(shares[name].astype(dtype) * part for name, part in parts.items())
        return pooled.token(jnp.asarray(total), means, segments=self.segments)
