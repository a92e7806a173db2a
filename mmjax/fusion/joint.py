"""Joint (early) fusion: one trunk over everything."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks, plain


class Joint(linen.Module):
    """All modalities' tokens, each marked with its modality, through one transformer.

    Over encoders of ``depth`` 0 this is early fusion. Gives all the modalities' tokens in the order of their
    names. Where rows are packed, every stream has to be: tokens of one segment see that segment in all streams.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        names, parts = sorted(streams), [streams[name] for name in sorted(streams)]
        values = [
            nn.embed.project(self.width, stream=name, dtype=self.dtype)(masks.zeroed(part.values, part.mask))
            for name, part in zip(names, parts, strict=True)
        ]
        packed = any(part.segments is not None for part in parts)
        tokens = Tokens(
            jnp.concatenate(values, axis=1),
            jnp.concatenate([part.mask for part in parts], axis=1),
            jnp.concatenate([_segments(part) for part in parts], axis=1) if packed else None,
        )
        return nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")(tokens, train=train)


def _segments(tokens: Tokens):
    """An unpacked stream is one segment, the first."""
    return tokens.mask.astype(jnp.int32) if tokens.segments is None else tokens.segments
