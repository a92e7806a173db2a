"""Factorised bilinear pooling."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens
from mmjax.fusion import pooled


class Bilinear(linen.Module):
    """Multi-modal factorised bilinear pooling (MFB, Yu et al., 2017, https://arxiv.org/abs/1708.01471).

    Streams' means are projected to ``factors`` numbers for each feature and multiplied; the products are added up
    over the factors (sum pooling), and come out as signed roots, scaled to length 1. The paper has two streams; with
    more, all are multiplied. An absent stream's factor is 1. ``dropout`` acts on the products. One token a row, or
    one for each of up to ``segments`` packed examples.
    """

    width: int = 64
    factors: int = 5
    dropout: float = 0.0
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = pooled.means(streams, segments=self.segments)
        parts = {
            name: linen.DenseGeneral((self.factors, self.width), dtype=dtype, name=f"project_{name}")(part.values)
            for name, part in means.items()
        }
        products = linen.Dropout(self.dropout, deterministic=not train)(pooled.product(parts, means))
        return pooled.token(_scaled(jnp.sum(products, axis=-2)), means, segments=self.segments)


def _scaled(values: jax.Array) -> jax.Array:
    """Signed roots of length 1, with small constants where a root or a quotient would have no slope; in float32."""
    exact = values.astype(jnp.float32)
    roots = exact * jnp.power(jnp.square(exact) + 1e-6, -0.25)
    length = jnp.sqrt(jnp.sum(jnp.square(roots), axis=-1, keepdims=True) + 1e-6)
    return (roots / length).astype(values.dtype)
