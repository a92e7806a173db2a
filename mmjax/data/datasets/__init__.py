"""Where examples come from. Each has ``fit() -> Schema`` and ``open(schema) -> Examples``."""

from mmjax.data.datasets.digits import Digits
from mmjax.data.datasets.fold import Fold
from mmjax.data.datasets.manifest import Manifest

__all__ = ["Digits", "Fold", "Manifest"]
