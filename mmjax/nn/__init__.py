"""Layers that encoders, fusions and heads are made of."""

from mmjax.nn import block, convolution, cross, embed, mel, pool, position
from mmjax.nn.attention import Attention
from mmjax.nn.block import Block, Mlp
from mmjax.nn.conformer import Conformer
from mmjax.nn.convolution import Stem
from mmjax.nn.cross import CrossBlock
from mmjax.nn.readout import Readout
from mmjax.nn.resampler import Resampler
from mmjax.nn.trunk import Trunk

__all__ = [
    "Attention",
    "Block",
    "Conformer",
    "CrossBlock",
    "Mlp",
    "Readout",
    "Resampler",
    "Stem",
    "Trunk",
    "block",
    "convolution",
    "cross",
    "embed",
    "mel",
    "pool",
    "position",
]
