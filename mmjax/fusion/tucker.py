"""Tucker fusion: bilinear products with a small core."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens
from mmjax.fusion import pooled


class Tucker(linen.Module):
    """Multimodal Tucker fusion (MUTAN, Ben-younes et al., 2017, https://arxiv.org/abs/1705.06676).

    Each stream's mean goes through a projection to ``size`` and tanh, then to ``rank`` vectors of ``width``; these
    are multiplied over the streams and added up over the ranks: a bilinear form whose core tensor has ``rank`` in
    each slice. The paper has two streams; with more, all are multiplied. Its projection to answers is the head's. An
    absent stream's factor is 1. One token a row, or one for each of up to ``segments`` packed examples.
    """

    width: int = 64
    size: int = 64
    rank: int = 5
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = pooled.means(streams, segments=self.segments)
        parts = {}
        for name, part in means.items():
            hidden = jnp.tanh(nn.embed.project(self.size, stream=name, dtype=self.dtype)(part.values))
            core = linen.DenseGeneral((self.rank, self.width), dtype=dtype, name=f"core_{name}")
            parts[name] = core(hidden)
        total = jnp.sum(pooled.product(parts, means), axis=-2)
        return pooled.token(total, means, segments=self.segments)
