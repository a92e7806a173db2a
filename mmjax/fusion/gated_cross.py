"""Gated cross-attention: streams that begin deaf to the others and learn how far to open."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class GatedCross(linen.Module):
    """Gated cross-attention over resampled streams (Flamingo, Alayrac et al., 2022, https://arxiv.org/abs/2204.14198).

    Every stream is resampled to ``latents`` tokens. In each of ``depth`` layers a stream looks at those of the
    others, through gates whose tanh starts at 0, then at itself. Flamingo has one such stream, the text: name
    it as ``main``, and its tokens alone come out, with one learned token that hears the others where it is absent.
    By default each stream listens, and all their tokens come out in the order of names. Its resampler has six
    layers and marks frames by their time; this one has one layer, and encoders mark positions.

    Raises UserError for packed rows and for a ``main`` that is no stream.
    """

    width: int = 64
    depth: int = 1
    heads: int = 4
    latents: int = 8
    main: str = ""
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.GatedCross")
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        listeners = stream.listeners(self, own, self.main)
        few = {name: self._resampled(name, own[name], train) for name in own if set(listeners) - {name}}
        out = []
        for name, tokens in listeners.items():
            context = stream.others(few, name)
            for i in range(self.depth):
                tokens = self._layer(f"{i}_{name}", tokens, context, train)
            values = nn.LayerNorm(dtype=jnp.dtype(self.dtype), name=f"norm_{name}")(tokens.values)
            out.append(tokens.replace(values=masks.zeroed(values, tokens.mask)))
        return stream.joined(out)

    def _resampled(self, name: str, tokens: Tokens, train: bool) -> Tokens:
        fields = {**plain.common(nn.Resampler, self), "depth": 1}
        return nn.Resampler(**fields, name=f"resampler_{name}")(tokens, train=train)

    def _layer(self, place: str, tokens: Tokens, context: Tokens | None, train: bool) -> Tokens:
        across = nn.CrossBlock(**plain.common(nn.CrossBlock, self), gated=True, name=f"cross_{place}")
        tokens = across(tokens, context, train=train)
        within = nn.Block(**plain.common(nn.Block, self), name=f"block_{place}")
        return tokens.replace(values=within(tokens.values, nn.cross.allowed(tokens, tokens), train=train))
