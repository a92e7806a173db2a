"""No fusion at all: one vector a modality, in a space that all share."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens, UserError, masks
from mmjax.fusion import stream

POOLS = ("mean", "first", "last", "attention")


class Towers(linen.Module):
    """Each stream pooled and projected, without ``bias``: ``b m width``, a token a modality, in the order of names.

    unit: vectors have length 1, as contrastive learning compares them (CLIP, Radford et al., 2021,
    https://arxiv.org/abs/2103.00020). hidden: widths of layers before the projection, each with LayerNorm and GELU, as
    the expanders of joint-embedding methods. pool: by stream, the ``mean`` of its tokens where nothing is said, the
    ``first`` of them (a class token), the ``last`` (that which ends a text), or ``attention`` of a learned query. bare:
    streams that are pooled and have that width already, and are not projected.

    There is a token, masked where it has to be, for every stream of initialisation. Raises UserError for packed rows,
    and for another way to pool.
    """

    width: int = 64
    hidden: Sequence[int] = ()
    unit: bool = True
    pool: Mapping[str, str] | None = None
    heads: int = 4
    bias: bool = False
    bare: Sequence[str] = ()
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.Towers")
        known = sorted(streams) if self.is_initializing() else self._known()
        unknown = [name for name in (*(self.pool or {}), *self.bare) if name not in known]
        if unknown:
            raise UserError(f"fusion.Towers: pool or bare names stream {unknown[0]!r}; there are {', '.join(known)}")
        some = next(iter(streams.values()))
        absent = jnp.zeros((len(some.mask), self.width), jnp.dtype(self.dtype)), jnp.zeros(len(some.mask), bool)
        found = [self._vector(name, streams[name]) if name in streams else absent for name in known]
        mask = jnp.stack([here for _, here in found], axis=1)
        return Tokens(masks.zeroed(jnp.stack([values for values, _ in found], axis=1), mask), mask)

    def _vector(self, name: str, tokens: Tokens) -> tuple[Any, Any]:
        dtype = jnp.dtype(self.dtype)
        values = self._pooled(name, tokens).astype(dtype)
        for i, width in enumerate(self.hidden):
            values = linen.Dense(width, dtype=dtype, name=f"hidden_{name}_{i}")(values)
            values = nn.gelu(nn.LayerNorm(dtype=dtype, name=f"norm_{name}_{i}")(values))
        if name not in self.bare:
            values = linen.Dense(self.width, self.bias, dtype=dtype, name=f"project_{name}")(values)
        elif values.shape[-1] != self.width:
            raise UserError(f"fusion.Towers: bare stream {name!r} is {values.shape[-1]} wide, not width={self.width}")
        return unit(values) if self.unit else values, masks.present(tokens.mask)

    def _pooled(self, name: str, tokens: Tokens) -> Float[Array, "b d"]:
        way = (self.pool or {}).get(name, "mean")
        if way not in POOLS:
            raise UserError(f"fusion.Towers: pool={way!r} of {name!r} is no way to pool; there are {', '.join(POOLS)}")
        if way == "attention":
            pool = nn.pool.AttentionPool(self.heads, dtype=self.dtype, name=f"pool_{name}")
            return pool(tokens.values, tokens.mask)
        if way == "mean":
            return nn.pool.mean(tokens.values, tokens.mask)
        ends = (tokens.values, tokens.mask) if way == "first" else (tokens.values[:, ::-1], tokens.mask[:, ::-1])
        return nn.pool.first(*ends)

    def _known(self) -> list[str]:
        """The streams of initialisation: those that have parameters, or need none."""
        held = [name for name in self.variables.get("params", {}) if name.startswith("project_")]
        return sorted({*(name.removeprefix("project_") for name in held), *self.bare})


def unit(values: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Of length 1, reckoned in float32; 0 stays 0."""
    exact = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    length = jnp.sum(jnp.square(exact), axis=-1, keepdims=True)
    return (exact * jax.lax.rsqrt(jnp.maximum(length, 1e-24))).astype(values.dtype)
