"""What training makes small: ``(outputs, batch) -> Mean``."""

from mmjax.objectives import advantage, chunked, likelihood
from mmjax.objectives.between import Between
from mmjax.objectives.blend import Progress, blended
from mmjax.objectives.contrastive import Contrastive
from mmjax.objectives.ctc import CTC
from mmjax.objectives.distillation import Distillation
from mmjax.objectives.experts import Experts
from mmjax.objectives.joint import BarlowTwins, DeepCCA, SimCLR, VICReg
from mmjax.objectives.matching import Matching
from mmjax.objectives.policy import Policy, SelfCritical, Values
from mmjax.objectives.preference import Preference, Ranking
from mmjax.objectives.reconstruction import Reconstruction
from mmjax.objectives.supervised import AbsoluteError, BinaryCrossEntropy, CrossEntropy, SquaredError
from mmjax.objectives.teacher import Data2vec, Dino, PseudoLabel

__all__ = [
    "CTC",
    "AbsoluteError",
    "BarlowTwins",
    "Between",
    "BinaryCrossEntropy",
    "Contrastive",
    "CrossEntropy",
    "Data2vec",
    "DeepCCA",
    "Dino",
    "Distillation",
    "Experts",
    "Matching",
    "Policy",
    "Preference",
    "Progress",
    "PseudoLabel",
    "Ranking",
    "Reconstruction",
    "SelfCritical",
    "SimCLR",
    "SquaredError",
    "VICReg",
    "Values",
    "advantage",
    "blended",
    "chunked",
    "likelihood",
]
