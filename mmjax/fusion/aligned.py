"""Early fusion of sequences that run side by side."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class Aligned(linen.Module):
    """Streams joined feature by feature, position by position, then one transformer.

    Early fusion as in Baltrusaitis et al., 2017 (https://arxiv.org/abs/1705.09406): each stream is projected and
    the projections of a position are added up, which is one linear layer over the concatenated features. Streams
    are stretched to the longest that the row has, each position taking the nearest; without ``stretch`` position i
    meets position i, and a stream that is over adds nothing. As many tokens come out as the row's longest stream has.

    Raises UserError for packed rows.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp: float = 4.0
    stretch: bool = True
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.Aligned")
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        longest = jnp.max(jnp.stack([_length(part.mask) for part in own.values()]), axis=0)
        positions = jnp.arange(max(part.mask.shape[1] for part in own.values()))
        taken = [_taken(part, positions, longest if self.stretch else None) for part in own.values()]
        here = jnp.any(jnp.stack([part.mask for part in taken]), axis=0)
        values = sum(part.values for part in taken)
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")
        return trunk(Tokens(jnp.asarray(values), here), train=train)


def _length(mask: Bool[Array, "b n"]) -> Int[Array, " b"]:
    """Positions up to the last real one."""
    return jnp.max(jnp.where(mask, jnp.arange(1, mask.shape[1] + 1), 0), axis=1, initial=0)


def _taken(tokens: Tokens, positions: Int[Array, " t"], longest: Int[Array, " b"] | None) -> Tokens:
    """``tokens`` at ``positions`` of a row of length ``longest`` (None: of their own); 0 where there are none."""
    length = _length(tokens.mask)[:, None]
    total = length if longest is None else longest[:, None]
    index = (2 * positions + 1) * length // jnp.maximum(2 * total, 1)
    inside = (positions < total) & (index < tokens.mask.shape[1])
    index = jnp.where(inside, index, 0)
    mask = inside & jnp.take_along_axis(tokens.mask, index, axis=1)
    return Tokens(masks.zeroed(_rows(tokens.values, index), mask), mask)


def _rows(values: Float[Array, "b n d"], index: Int[Array, "b t"]) -> jax.Array:
    return jnp.take_along_axis(values, index[..., None], axis=1)
