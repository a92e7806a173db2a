"""Layers that encoders, fusions and heads are made of."""

from mmjax.nn import (
    block,
    cache,
    convolution,
    cross,
    dot,
    embed,
    feature,
    grid,
    kept,
    mel,
    norm,
    pool,
    position,
    query,
    remat,
    residual,
    start,
)
from mmjax.nn.activation import gelu
from mmjax.nn.attention import Attention
from mmjax.nn.block import Block
from mmjax.nn.conformer import Conformer
from mmjax.nn.convolution import Stem
from mmjax.nn.cross import CrossBlock
from mmjax.nn.feature import LayerNorm, RMSNorm
from mmjax.nn.mixture import Mixture
from mmjax.nn.mlp import Mlp
from mmjax.nn.norm import BatchNorm, GroupNorm
from mmjax.nn.probe import Probe
from mmjax.nn.readout import Readout
from mmjax.nn.recurrent import Recurrent
from mmjax.nn.resampler import Resampler
from mmjax.nn.residual import Residual
from mmjax.nn.trunk import Trunk

__all__ = [
    "Attention",
    "BatchNorm",
    "Block",
    "Conformer",
    "CrossBlock",
    "GroupNorm",
    "LayerNorm",
    "Mixture",
    "Mlp",
    "Probe",
    "RMSNorm",
    "Readout",
    "Recurrent",
    "Resampler",
    "Residual",
    "Stem",
    "Trunk",
    "block",
    "cache",
    "convolution",
    "cross",
    "dot",
    "embed",
    "feature",
    "gelu",
    "grid",
    "kept",
    "mel",
    "norm",
    "pool",
    "position",
    "query",
    "remat",
    "residual",
    "start",
]
