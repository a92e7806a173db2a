"""Tokens to answers."""

from mmjax.heads.classify import Classify, MultiLabel
from mmjax.heads.regress import Regress

__all__ = ["Classify", "MultiLabel", "Regress"]
