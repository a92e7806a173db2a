"""Co-attention: streams that listen to each other and to themselves, in turn."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class CoAttention(linen.Module):
    """Co-attentional transformer layers (ViLBERT, Lu et al., 2019, https://arxiv.org/abs/1908.02265).

    In each of ``depth`` layers every stream looks at the others as the layer before left them, then at itself.
    ViLBERT has two streams; with more, a stream looks at all the others at once. Pre-LN. Gives all the streams'
    tokens in the order of names; of packed rows each segment is by itself.
    """

    width: int = 64
    depth: int = 1
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        for i in range(self.depth):
            before = own
            own = {name: self._layer(i, name, before, train) for name in before}
        for name, tokens in own.items():
            values = nn.LayerNorm(dtype=jnp.dtype(self.dtype), name=f"norm_{name}")(tokens.values)
            own[name] = tokens.replace(values=masks.zeroed(values, tokens.mask))
        return stream.joined(list(own.values()))

    def _layer(self, i: int, name: str, streams: Mapping[str, Tokens], train: bool) -> Tokens:
        across = nn.CrossBlock(**plain.common(nn.CrossBlock, self), name=f"cross_{i}_{name}")
        tokens = across(streams[name], stream.others(streams, name), train=train)
        within = nn.Block(**plain.common(nn.Block, self), name=f"block_{i}_{name}")
        return tokens.replace(values=within(tokens.values, nn.cross.allowed(tokens, tokens), train=train))
