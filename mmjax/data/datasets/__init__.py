"""Where examples come from. Each has ``fit() -> Schema`` and ``open(schema) -> Examples``."""

from mmjax.data.datasets.arrays import Arrays
from mmjax.data.datasets.bucketed import Bucketed
from mmjax.data.datasets.digits import Digits
from mmjax.data.datasets.fold import Fold
from mmjax.data.datasets.manifest import Manifest
from mmjax.data.datasets.mixture import Mixture
from mmjax.data.datasets.packed import Packed
from mmjax.data.datasets.records import Records
from mmjax.data.datasets.strung import Strung
from mmjax.data.datasets.sums import Sums
from mmjax.data.datasets.synergy import Synergy
from mmjax.data.datasets.texts import Texts
from mmjax.data.datasets.tfds import Tfds

__all__ = [
    "Arrays",
    "Bucketed",
    "Digits",
    "Fold",
    "Manifest",
    "Mixture",
    "Packed",
    "Records",
    "Strung",
    "Sums",
    "Synergy",
    "Texts",
    "Tfds",
]
