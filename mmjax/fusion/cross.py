"""Cross-attention: streams that look at the others."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class Cross(linen.Module):
    """Each stream looks at all the others in ``depth`` layers of cross-attention and MLP.

    Encoder-decoder attention (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762) between modalities: what is
    looked at stays as it came. Gives all the streams' tokens in the order of names, or, where ``main`` names a
    stream, its tokens alone and one learned token that hears the others where it is absent. Of packed rows
    each segment is by itself.

    Raises UserError for a ``main`` that is no stream, and for packed rows with ``main``.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    main: str = ""
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        out = []
        for name, tokens in stream.listeners(self, own, self.main).items():
            context = stream.others(own, name)
            for i in range(self.depth):
                block = nn.CrossBlock(**plain.common(nn.CrossBlock, self), name=f"block_{i}_{name}")
                tokens = block(tokens, context, train=train)
            values = nn.LayerNorm(dtype=jnp.dtype(self.dtype), name=f"norm_{name}")(tokens.values)
            out.append(tokens.replace(values=masks.zeroed(values, tokens.mask)))
        return stream.joined(out)
