"""Joint (early) fusion: one trunk over everything."""

from collections.abc import Mapping

from flax import linen

from mmjax import nn
from mmjax.core import Tokens, plain
from mmjax.fusion import stream


class Joint(linen.Module):
    """All modalities' tokens, each marked with its modality, through one transformer.

    Over encoders of ``depth`` 0 this is early fusion, as in VisualBERT (Li et al., 2019,
    https://arxiv.org/abs/1908.03557). Gives all the modalities' tokens in the order of their names. Where rows are
    packed, every stream has to be: tokens of one segment see that segment in all streams.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        tokens = stream.joined(list(stream.projected(streams, width=self.width, dtype=self.dtype).values()))
        return nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")(tokens, train=train)
