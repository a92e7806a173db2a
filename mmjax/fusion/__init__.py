"""Streams to tokens, a file for each family."""

from mmjax.fusion.aligned import Aligned
from mmjax.fusion.attended import Attended
from mmjax.fusion.bilinear import Bilinear
from mmjax.fusion.bottleneck import Bottleneck
from mmjax.fusion.central import Central
from mmjax.fusion.coattention import CoAttention
from mmjax.fusion.cross import Cross
from mmjax.fusion.directional import Directional
from mmjax.fusion.experts import Experts
from mmjax.fusion.film import Film
from mmjax.fusion.gated import Gated
from mmjax.fusion.gated_cross import GatedCross
from mmjax.fusion.joint import Joint
from mmjax.fusion.late import Late
from mmjax.fusion.low_rank import LowRank
from mmjax.fusion.mixture import Mixture
from mmjax.fusion.multiplicative import Multiplicative
from mmjax.fusion.perceiver import Perceiver
from mmjax.fusion.qformer import QFormer
from mmjax.fusion.sum import Sum
from mmjax.fusion.tensor import Tensor
from mmjax.fusion.towers import Towers
from mmjax.fusion.tucker import Tucker

__all__ = [
    "Aligned",
    "Attended",
    "Bilinear",
    "Bottleneck",
    "Central",
    "CoAttention",
    "Cross",
    "Directional",
    "Experts",
    "Film",
    "Gated",
    "GatedCross",
    "Joint",
    "Late",
    "LowRank",
    "Mixture",
    "Multiplicative",
    "Perceiver",
    "QFormer",
    "Sum",
    "Tensor",
    "Towers",
    "Tucker",
]
