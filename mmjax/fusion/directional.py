"""Directional cross-modal attention: a way of its own from every stream to every other."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class Directional(linen.Module):
    """Multimodal transformer (MulT, Tsai et al., 2019, https://arxiv.org/abs/1906.00295).

    For each pair, ``depth`` cross-attention layers let a stream look at one other as it came. What it made of each
    other is projected and added to its own tokens (one linear layer over their concatenation; an absent stream adds
    nothing), and a transformer of ``depth`` layers follows for each stream. MulT reads the last step of each; here
    all tokens come out, in the order of names. Of packed rows each segment is by itself.
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
        out = []
        for name, tokens in own.items():
            values = tokens.values
            for source in own:
                if source != name:
                    values += self._heard(name, source, own, train)
            trunk = nn.Trunk(**plain.common(nn.Trunk, self), name=f"trunk_{name}")
            out.append(trunk(tokens.replace(values=values), train=train))
        return stream.joined(out)

    def _heard(self, name: str, source: str, streams: Mapping[str, Tokens], train: bool):
        """What ``name`` makes of ``source``; 0 for tokens that have nothing of it."""
        tokens, way = streams[name], f"{name}_from_{source}"
        for i in range(self.depth):
            block = nn.CrossBlock(**plain.common(nn.CrossBlock, self), name=f"block_{i}_{way}")
            tokens = block(tokens, streams[source], train=train)
        dtype = jnp.dtype(self.dtype)
        values = nn.LayerNorm(dtype=dtype, name=f"norm_{way}")(tokens.values)
        values = linen.Dense(self.width, use_bias=False, dtype=dtype, name=f"join_{way}")(values)
        return masks.zeroed(values, nn.cross.hears(tokens, streams[source]))
