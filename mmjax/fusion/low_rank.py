"""Low-rank tensor fusion."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens
from mmjax.fusion import pooled


class LowRank(linen.Module):
    """Low-rank multimodal fusion (LMF, Liu et al., 2018, https://arxiv.org/abs/1806.00064).

    Tensor fusion whose kernel is a sum of ``rank`` outer products: every stream's mean, with a constant 1 appended, is
    multiplied by its factors (parameters), the results are multiplied over the streams, and added up over the
    ranks with learned weights. An absent stream's factor is 1. The biases, which are what the appended 1 is
    multiplied by, start at 1, so that single streams come through from the beginning. One token a row, or one for
    each of up to ``segments`` packed examples.
    """

    width: int = 64
    rank: int = 8
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = pooled.means(streams, segments=self.segments)
        factors = {
            name: linen.DenseGeneral(
                (self.rank, self.width), bias_init=linen.initializers.ones, dtype=dtype, name=f"factor_{name}"
            )(part.values)
            for name, part in means.items()
        }
        weight = self.param("weight", linen.initializers.normal(self.rank**-0.5), (self.rank, 1)).astype(dtype)
        bias = self.param("bias", linen.initializers.zeros, (self.width,)).astype(dtype)
        total = jnp.sum(weight * pooled.product(factors, means), axis=-2) + bias
        return pooled.token(total, means, segments=self.segments)
