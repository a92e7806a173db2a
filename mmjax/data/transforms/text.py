"""What training does to token ids ``t``."""

import dataclasses
from typing import ClassVar

import numpy as np

from mmjax.data.transforms.example import Inputs, changed


@dataclasses.dataclass(frozen=True)
class DropTokens:
    """Leave out each token with this probability, or with ``unknown`` put the unknown one (1); one always stays."""

    modality: str
    probability: float = 0.1
    unknown: bool = False

    kinds: ClassVar[tuple[str, ...]] = ("text",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def thin(ids: np.ndarray) -> np.ndarray:
            dropped = rng.random(len(ids)) < self.probability
            dropped[rng.integers(len(ids))] = False
            return np.where(dropped, np.int32(1), ids) if self.unknown else ids[~dropped]

        return changed(inputs, self.modality, thin)


@dataclasses.dataclass(frozen=True)
class MaskWords:
    """Put the unknown token (1) for each word of a prompt with this probability; marks and the answer stay."""

    modality: str
    probability: float = 0.1

    kinds: ClassVar[tuple[str, ...]] = ("prompt",)

    def __call__(self, inputs: Inputs, rng: np.random.Generator) -> Inputs:
        def mask(example: np.ndarray) -> np.ndarray:
            hidden = (example[:, 1] == 0) & (example[:, 0] > 1) & (rng.random(len(example)) < self.probability)
            return np.concatenate([np.where(hidden, np.int32(1), example[:, 0])[:, None], example[:, 1:]], axis=1)

        return changed(inputs, self.modality, mask)
