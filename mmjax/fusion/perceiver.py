"""Latents: a few learned tokens that look at everything."""

from collections.abc import Mapping

from flax import linen

from mmjax import nn
from mmjax.core import Tokens, plain
from mmjax.fusion import stream


class Perceiver(linen.Module):
    """All modalities' tokens, each marked with its modality, resampled to ``latents`` tokens.

    Perceiver (Jaegle et al., 2021, https://arxiv.org/abs/2103.03206) with the resampler of Flamingo (Alayrac et
    al., 2022, https://arxiv.org/abs/2204.14198). Cost grows with the number of tokens, not with its square.

    Raises UserError for packed rows.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    latents: int = 8
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.Perceiver")
        own = stream.projected(streams, width=self.width, dtype=self.dtype)
        resampler = nn.Resampler(**plain.common(nn.Resampler, self), name="resampler")
        return resampler(stream.joined(list(own.values())), train=train)
