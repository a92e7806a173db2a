"""A data set that is read once, for all the models of a comparison."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmjax.data import pipeline
from mmjax.data.examples import Examples

_ROWS = 1024  # rows looked at together


@dataclass(frozen=True)
class Opened:
    """Examples in memory in a data set's place. Each model opens the modalities that it encodes."""

    examples: Examples
    batch: int
    seed: int = 0
    augment: tuple[Any, ...] = ()

    def fit(self) -> Any:
        """The schema that the examples were read by."""
        return self.examples.schema

    def open(self, schema: Any) -> Examples:
        """The examples, of the modalities in ``schema`` alone."""
        return self.examples.part(modalities=schema.inputs)

    def only(self, modalities: Collection[str]) -> "Opened":
        """Without what training does to other modalities."""
        augment = tuple(transform for transform in self.augment if transform.modality in modalities)
        return Opened(self.examples.part(modalities=modalities), self.batch, self.seed, augment)


def answers(examples: Examples, target: str) -> np.ndarray:
    """The class of every example in order, -1 where it has none."""
    found = []
    for batch, numbers in pipeline.sweep(examples.part(modalities=()), batch=_ROWS):
        signal = batch.targets[target]
        found.append(np.where(signal.mask, signal.values, -1)[numbers >= 0])
    return np.concatenate(found)


def presence(examples: Examples) -> dict[str, np.ndarray]:
    """By modality: whether each example has anything of it."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in examples.schema.inputs}
    for batch, numbers in pipeline.sweep(examples, batch=min(_ROWS, len(examples))):
        for name, signal in batch.inputs.items():
            found[name].append(signal.mask.reshape(len(numbers), -1).any(axis=1)[numbers >= 0])
    return {name: np.concatenate(parts) for name, parts in found.items()}
