"""Multi-head attention."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import UserError, masks, products
from mmjax.nn import cache, dot, position, start


class Attention(linen.Module):
    """Scaled dot-product attention over heads (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).

    Kernels are kept per head (query, key, value ``d k h``; out ``k h d``), so that a sharding rule can
    split the heads. The softmax is in float32 whatever ``dtype`` is. Masked keys have to be finite.
    ``key_bias`` is there for published weights alone: the softmax does not see it, so it never learns. Without ``bias``
    nothing else has one either. ``stddev`` and ``shrink`` (of what goes out) are those of ``nn.start``.
    ``rotary`` turns queries and keys by their positions; ``relative`` adds a bias for each of so many buckets of
    distances (``nn.position``). With ``causal`` a token looks at itself and those before it in the row; a ``band`` of n
    leaves it only the nearest n of these, itself included (without ``causal``: and as many on the other side), as in
    Longformer (Beltagy et al., 2020, https://arxiv.org/abs/2004.05150). All four are for tokens that look at one
    another.

    ``kv_heads`` = k has keys and values for k groups of heads alone (grouped queries, Ainslie et al., 2023,
    https://arxiv.org/abs/2305.13245); 0 for one each. ``head_size`` is a head's features; 0 for an even share of the
    width. Raises UserError where ``heads`` does not divide the width then, or ``kv_heads`` the heads.

    Where ``allowed`` is of slots in the collection ``cache``, keys and values go into it and all that is kept is
    looked at (``nn.cache``).
    """

    heads: int
    kv_heads: int = 0
    head_size: int = 0
    causal: bool = False
    band: int = 0
    bias: bool = True
    key_bias: bool = False
    rotary: bool = False
    relative: int = 0
    stddev: float = 0.0
    shrink: float = 1.0
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b q d"],
        context: Float[Array, "b c e"] | None = None,
        *,
        allowed: Bool[Array, "b #k q n"] | masks.Among | cache.Looked | None = None,
        positions: Int[Array, "#b q *a"] | None = None,
    ) -> Float[Array, "b q d"]:
        """``values`` look at ``context`` (None: at themselves) where ``allowed``. ``positions`` None: 0, 1, 2, ..."""
        width = values.shape[-1]
        self._check(width, alone=context is None)
        alone, context = context is None, values if context is None else context
        size, kv_heads = self.head_size or width // self.heads, self.kv_heads or self.heads

        def split(name: str, inputs: Array, heads: int, bias: bool = True) -> Array:
            fields = {"kernel_init": start.kernel(self.stddev), "dtype": jnp.dtype(self.dtype), "name": name}
            fields["dot_general_cls"] = lambda: products.flat
            return linen.DenseGeneral((heads, size), use_bias=bias and self.bias, **fields)(inputs)

        query, key = split("query", values, self.heads), split("key", context, kv_heads, self.key_bias)
        value = split("value", context, kv_heads)
        places = jnp.arange(values.shape[1])[None] if positions is None else positions
        if self.rotary:
            query, key = position.rotated(query, places), position.rotated(key, places)
        if isinstance(allowed, cache.Looked):
            mixed = self._recalled(query, key, value, allowed.allowed, places if alone else None)
        else:
            mixed = self._mixed(query, key, value, allowed, places)
        out = {"use_bias": self.bias, "kernel_init": start.kernel(self.stddev, self.shrink)}
        return linen.DenseGeneral(width, axis=(-2, -1), dtype=jnp.dtype(self.dtype), name="out", **out)(mixed)

    @linen.nowrap
    def _mixed(
        self, query: Array, key: Array, value: Array, allowed: Array | masks.Among | None, places: Array
    ) -> Array:
        bias = None
        if self.relative:
            bias = position.Relative(self.relative, name="relative")(places, self.heads).astype(query.dtype)
        with jax.named_scope("causal" if self.causal else "whole"):  # by which its operations are counted (mmjax.flops)
            return self.mixed(query, key, value, bias, allowed, causal=self.causal, reach=self._reach())

    @linen.nowrap
    def _recalled(self, query: Array, key: Array, value: Array, allowed: Array, places: Array | None) -> Array:
        """As ``_mixed``, over all that the cache holds by now; ``allowed`` has a column for each of its slots.

        places: None for a context, which is written whole.
        """
        if places is None:
            keys, values = cache.written(self, "keys", key), cache.written(self, "values", value)
            return cache.attended(query, keys, values, allowed)
        if not self.causal or self.relative:
            raise UserError("only causal attention without relative positions can be kept in a cache")
        slots = allowed.shape[-1]
        keys, values = (
            cache.stored(self, "keys", key, places, slots),
            cache.stored(self, "values", value, places, slots),
        )
        if self.band:
            allowed &= (jnp.arange(slots) > places[..., None] - self.band)[:, None]
        return cache.attended(query, keys, values, allowed)

    def mixed(
        self,
        query: Float[Array, "b q k h"],
        key: Float[Array, "b n g h"],
        value: Float[Array, "b n g h"],
        bias: Float[Array, "#b #k q n"] | None,
        allowed: Bool[Array, "#b #k q n"] | masks.Among | None,
        *,
        causal: bool,
        reach: tuple[int, int] | None,
    ) -> Float[Array, "b q k h"]:
        """Values by how queries and keys agree. Where tokens lie on several devices, the mesh puts its own way here."""
        return dot.attention(query, key, value, bias, masks.dense(allowed), causal=causal, reach=reach)

    @linen.nowrap
    def _reach(self) -> tuple[int, int] | None:
        return (self.band - 1, 0 if self.causal else self.band - 1) if self.band else None

    def _check(self, width: int, *, alone: bool) -> None:
        if not self.head_size and width % self.heads:
            raise UserError(f"heads={self.heads} does not divide width={width}; choose a divisor of the width")
        if self.kv_heads and self.heads % self.kv_heads:
            raise UserError(f"kv_heads={self.kv_heads} does not divide heads={self.heads}; choose a divisor of heads")
        if self.band < 0:
            raise UserError(f"band={self.band} tokens; it has to be 0 (all of them) or more")
        if not alone and (self.rotary or self.relative):
            raise UserError("rotary and relative positions are for tokens that look at themselves, not at a context")
        if not alone and (self.causal or self.band):
            raise UserError("causal and band are for tokens that look at themselves, not at a context")
