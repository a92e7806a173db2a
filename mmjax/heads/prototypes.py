"""How like each of many learned directions something is."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens


class Prototypes(linen.Module):
    """Cosines ``b count`` in float32 with ``count`` directions, after layers of ``hidden`` widths with GELU and one of
    ``width``: the projection head of DINO (Caron et al., 2021, https://arxiv.org/abs/2104.14294).

    Reads the mean of what is fused, or of one ``stream`` alone. Raises UserError for packed rows.
    """

    count: int = 1024
    hidden: Sequence[int] = (256, 256)
    width: int = 64
    stream: str = ""

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        values = nn.pool.means(tokens).values[:, 0].astype(jnp.float32)
        for i, width in enumerate(self.hidden):
            values = nn.gelu(linen.Dense(width, name=f"hidden_{i}")(values))
        values = linen.Dense(self.width, name="project")(values)
        kernel = self.param("prototypes", linen.initializers.normal(1.0), (self.width, self.count))
        return _unit(values, 1) @ _unit(kernel, 0)


def _unit(values: Float[Array, "n d"], axis: int) -> Float[Array, "n d"]:
    return values * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(values), axis=axis, keepdims=True), 1e-12))
