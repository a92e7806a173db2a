"""Multi-head attention."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import UserError
from mmjax.nn import position


class Attention(linen.Module):
    """Scaled dot-product attention over heads (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).

    Kernels are kept per head (query, key, value ``d k h``; out ``k h d``), so that a sharding rule can
    split the heads. The softmax is in float32 whatever ``dtype`` is. Masked keys have to be finite.
    ``key_bias`` is there for published weights alone: the softmax does not see it, so it never learns.
    ``rotary`` turns queries and keys by their positions; ``relative`` adds a bias for each of so many buckets of
    distances (``nn.position``). Both are for tokens that look at themselves.

    Raises UserError where ``heads`` does not divide the width.
    """

    heads: int
    key_bias: bool = False
    rotary: bool = False
    relative: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b q d"],
        context: Float[Array, "b n e"] | None = None,
        *,
        allowed: Bool[Array, "b #k q n"] | None = None,
        positions: Int[Array, "#b q *a"] | None = None,
    ) -> Float[Array, "b q d"]:
        """``values`` look at ``context`` (None: at themselves) where ``allowed``. ``positions`` None: 0, 1, 2, ..."""
        width = values.shape[-1]
        if width % self.heads:
            raise UserError(f"heads={self.heads} does not divide width={width}; choose a divisor of the width")
        if context is not None and (self.rotary or self.relative):
            raise UserError("rotary and relative positions are for tokens that look at themselves, not at a context")
        context = values if context is None else context

        def split(name: str, inputs: Array, bias: bool = True) -> Array:
            shape = (self.heads, width // self.heads)
            return linen.DenseGeneral(shape, use_bias=bias, dtype=jnp.dtype(self.dtype), name=name)(inputs)

        query, key = split("query", values), split("key", context, self.key_bias)
        bias = None
        places = jnp.arange(values.shape[1])[None] if positions is None else positions
        if self.rotary:
            query, key = position.rotated(query, places), position.rotated(key, places)
        if self.relative:
            bias = position.Relative(self.relative, name="relative")(places, self.heads).astype(query.dtype)
        mixed = jax.nn.dot_product_attention(query, key, split("value", context), bias, allowed)
        return linen.DenseGeneral(width, axis=(-2, -1), dtype=jnp.dtype(self.dtype), name="out")(mixed)
