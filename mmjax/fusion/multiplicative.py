"""Multiplicative interactions: one stream writes the weights that another goes through."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens
from mmjax.fusion import pooled, tensor


class Multiplicative(linen.Module):
    """Multiplicative interactions (Jayakumar et al., 2020, https://openreview.net/forum?id=rylnK6VtDH).

    z'Wx + z'U + Vx + b of the streams' means, with W whole: width times the product of both widths. With more than
    two streams the bilinear terms of every pair are added up (``fusion.Tensor`` has the products of more). An absent
    stream adds nothing. One token a row, or one for each of up to ``segments`` packed examples.
    """

    width: int = 64
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = pooled.means(streams, segments=self.segments)
        total = self.param("bias", linen.initializers.normal(0.02), (self.width,)).astype(dtype)
        for chosen in tensor.subsets(list(means), 2):
            parts = [means[name].values for name in chosen]
            name = f"project_{chosen[0]}" if len(chosen) == 1 else "join_" + "+".join(chosen)
            values = parts[0] if len(chosen) == 1 else tensor.outer(*parts)
            total += linen.Dense(self.width, use_bias=False, dtype=dtype, name=name)(values)
        return pooled.token(total, means, segments=self.segments)
