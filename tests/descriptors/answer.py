"""What a row of an objective or a metric is, and answers of every kind for it to read."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from descriptors.row import WIDTH, integers, noise, tokens
from mmjax.core import Batch, Outputs, Signal, Tokens


@dataclasses.dataclass(frozen=True)
class Answer:
    """An objective or a metric with an example of what it reads: scores of head "y", or fused tokens."""

    name: str
    value: Callable[..., Any]
    outputs: Any
    batch: Any
    fused: bool = False
    framed: bool = False

    def __str__(self) -> str:
        return self.name

    def scores(self, outputs: Any = None) -> jnp.ndarray:
        outputs = outputs or self.outputs
        said = outputs.fused if self.fused else outputs.heads["y"]
        return said.values if self.fused or self.framed else said

    def saying(self, scores: jnp.ndarray) -> Outputs:
        """The same outputs with other scores."""
        if self.fused:
            return self.outputs.replace(fused=Tokens(scores, jnp.ones(scores.shape[:2], bool)))
        if self.framed:
            return self.outputs.replace(heads={"y": Tokens(scores, jnp.ones(scores.shape[:2], bool))})
        return self.outputs.replace(heads={"y": scores})


def answer(name: str, value: Callable[..., Any], scores: jnp.ndarray, targets: Any, mask: Any, **kind: bool) -> Answer:
    """Six rows of head "y", or of fused tokens, against target "y". kind: ``fused`` or ``framed``."""
    outputs = Outputs(streams={}, fused=tokens(WIDTH, *[1] * 6), heads={"y": noise(6)})
    row = Answer(name, value, outputs, Batch({}, {"y": Signal(jnp.asarray(targets), jnp.asarray(mask))}), **kind)
    return dataclasses.replace(row, outputs=row.saying(scores))


ANSWERED = np.arange(6) != 2
CELLS = integers(10, 6, 3) < 7
CLASSES = noise(6, 3), np.asarray([0, 1, 2, 2, 1, 0], np.int32), ANSWERED
LABELS = noise(6, 3), integers(2, 6, 3).astype(np.float32), CELLS
NUMBER = noise(6), noise(6, seed=1), ANSWERED
NUMBERS = noise(6, 3), noise(6, 3, seed=1), CELLS
# As many frames as words, so that there is one way to say them, and every frame of an answered row has its gradient.
SPOKEN = noise(6, 2, 4), 1 + integers(1, 6, 2) + np.asarray([0, 1], np.int32), np.repeat(ANSWERED[:, None], 2, axis=1)
