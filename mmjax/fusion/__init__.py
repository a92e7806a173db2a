"""Streams to tokens, a file for each family."""

from mmjax.fusion.bottleneck import Bottleneck
from mmjax.fusion.joint import Joint
from mmjax.fusion.late import Late

__all__ = ["Bottleneck", "Joint", "Late"]
