"""What training hides as a whole."""

import dataclasses
from typing import ClassVar

import numpy as np

from mmjax.data.transforms.example import Inputs


@dataclasses.dataclass(frozen=True)
class Hide:
    """A modality of any kind is absent with this probability, so that a model learns to do without it.

    ``Experiment.modality_dropout`` hides every modality alike, the words that a model talks in, too.
    """

    modality: str
    probability: float = 0.1

    kinds: ClassVar[tuple[str, ...]] = ("image", "audio", "video", "sensor", "text", "table")

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        hidden = rng.random() < self.probability
        return {**inputs, self.modality: None} if hidden else inputs
