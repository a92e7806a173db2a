"""Multi-head attention."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.core import UserError


class Attention(linen.Module):
    """Scaled dot-product attention over heads (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).

    Kernels are kept per head (query, key, value ``d k h``; out ``k h d``), so that a sharding rule can
    split the heads. The softmax is in float32 whatever ``dtype`` is. Masked keys have to be finite.
    ``key_bias`` is there for published weights alone: the softmax does not see it, so it never learns.

    Raises UserError where ``heads`` does not divide the width.
    """

    heads: int
    key_bias: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b q d"],
        context: Float[Array, "b n e"] | None = None,
        *,
        allowed: Bool[Array, "b #k q n"] | None = None,
    ) -> Float[Array, "b q d"]:
        """``values`` look at ``context`` (None: at themselves) where ``allowed``."""
        width = values.shape[-1]
        if width % self.heads:
            raise UserError(f"heads={self.heads} does not divide width={width}; choose a divisor of the width")
        context = values if context is None else context

        def split(name: str, inputs: Array, bias: bool = True) -> Array:
            shape = (self.heads, width // self.heads)
            return linen.DenseGeneral(shape, use_bias=bias, dtype=jnp.dtype(self.dtype), name=name)(inputs)

        mixed = jax.nn.dot_product_attention(
            split("query", values), split("key", context, self.key_bias), split("value", context), mask=allowed
        )
        return linen.DenseGeneral(width, axis=(-2, -1), dtype=jnp.dtype(self.dtype), name="out")(mixed)
