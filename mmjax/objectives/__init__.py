"""What training makes small: ``(outputs, batch) -> Mean``."""

from mmjax.objectives.experts import Experts
from mmjax.objectives.supervised import AbsoluteError, BinaryCrossEntropy, CrossEntropy, SquaredError

__all__ = ["AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Experts", "SquaredError"]
