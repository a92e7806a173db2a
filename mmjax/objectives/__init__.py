"""What training makes small: ``(outputs, batch) -> Mean``."""

from mmjax.objectives import chunked
from mmjax.objectives.blend import Progress, blended
from mmjax.objectives.contrastive import Contrastive
from mmjax.objectives.ctc import CTC
from mmjax.objectives.experts import Experts
from mmjax.objectives.supervised import AbsoluteError, BinaryCrossEntropy, CrossEntropy, SquaredError

__all__ = [
    "CTC",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "Contrastive",
    "CrossEntropy",
    "Experts",
    "Progress",
    "SquaredError",
    "blended",
    "chunked",
]
