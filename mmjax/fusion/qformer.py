"""Querying transformer: learned queries that talk among themselves and, now and then, look at the streams."""

from collections.abc import Mapping

from flax import linen

from mmjax import nn
from mmjax.core import Tokens
from mmjax.fusion import stream


class QFormer(linen.Module):
    """``queries`` learned tokens through a transformer (BLIP-2, Li et al., 2023, https://arxiv.org/abs/2301.12597).

    The layers are those of ``nn.query``; every ``every``-th looks at the tokens of all modalities. Gives the queries.

    Raises UserError for packed rows.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    queries: int = 8
    every: int = 2
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.QFormer")
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        return nn.query.asked(self, stream.joined(list(own.values())), stream.anyone(own), train=train)
