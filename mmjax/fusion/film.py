"""Feature-wise modulation: streams that turn each other's features up and down."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks
from mmjax.fusion import stream


class Film(linen.Module):
    """Feature-wise linear modulation (FiLM, Perez et al., 2018, https://arxiv.org/abs/1709.07871).

    ``depth`` residual MLPs for each stream, whose normalised input is scaled and shifted, feature by feature, by
    what the mean tokens of the other streams say; without any other the scale is 1 and the shift 0. ``main`` names
    the one stream that is modulated: its tokens come out, with one learned token that hears the others where it is
    absent. By default each is, and all their tokens come out in the order of names.

    Raises UserError for packed rows and for a ``main`` that is no stream.
    """

    width: int = 64
    depth: int = 2
    main: str = ""
    mlp: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.Film")
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        out = []
        for name, tokens in stream.listeners(self, own, self.main).items():
            rest = {other: part for other, part in own.items() if other != name}
            for i in range(self.depth):
                tokens = tokens.replace(values=self._layer(f"{i}_{name}", tokens.values, rest, train))
            values = nn.LayerNorm(dtype=jnp.dtype(self.dtype), name=f"norm_{name}")(tokens.values)
            out.append(tokens.replace(values=masks.zeroed(values, tokens.mask)))
        return stream.joined(out)

    def _layer(self, place: str, values: jax.Array, rest: Mapping[str, Tokens], train: bool) -> jax.Array:
        dtype = jnp.dtype(self.dtype)
        normed = nn.LayerNorm(bias=False, scale=False, dtype=dtype, name=f"norm_{place}")(values)
        if rest:
            summary = jnp.asarray(sum(nn.pool.mean(part.values, part.mask) for part in rest.values()))
            change = linen.Dense(2 * self.width, dtype=dtype, name=f"modulate_{place}")(linen.gelu(summary))
            scale, shift = jnp.split(masks.zeroed(change, stream.anyone(rest))[:, None], 2, axis=-1)
            normed = normed * (1 + scale) + shift
        mlp = nn.Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name=f"mlp_{place}")
        return values + mlp(normed, train=train)
