"""Streams added up."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks
from mmjax.fusion import pooled


class Sum(linen.Module):
    """Each stream's mean through a layer of its own (exact GELU), then added up, as the streams' networks of the
    correlational network do (Chandar et al., 2016, https://arxiv.org/abs/1504.07225).

    What the streams say together beyond what each says alone is out of its
    reach; only the LayerNorm of a head mixes them. An absent stream adds nothing. One token a row, or one for
    each of up to ``segments`` packed examples.
    """

    width: int = 64
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        means = pooled.means(streams, segments=self.segments)
        total = 0
        for name, part in means.items():
            hidden = nn.embed.project(self.width, stream=name, dtype=self.dtype)(part.values)
            total += masks.zeroed(nn.gelu(hidden), part.mask)
        return pooled.token(jnp.asarray(total), means, segments=self.segments)
