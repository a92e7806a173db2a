"""Pairs of answers that people judged: what the weights that a run began with say of each word of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Batch, Signal, UserError, segments
from mmjax.generate import pairs


@dataclasses.dataclass(frozen=True)
class Judged:
    """Rows of the data as they are, with the target ``reference`` beside them, by which ``objectives.Preference`` holds
    a policy to where it began (DPO and IPO; ORPO needs none of this).

    It stands in ``Experiment.rollout``, for ``fields.Ranked``; target: its ``fields.Answers``. Figures: ``apart``, by
    how much more than the reference the policy tells the first answer from the second, in nats; ``right``, of how many
    rows it does so the right way round, where 0 is half right.
    """

    target: str = "next"

    refers = True

    def example(self, example: Batch) -> Batch:
        """A batch of the data as a step's: its shapes and types."""
        answers = example.targets.get(self.target)
        if answers is None or answers.segments is None:
            raise UserError(f"generate.Judged wants target {self.target!r} to be fields.Answers, whose rows are ranked")
        known = Signal(np.zeros(answers.mask.shape, np.float32), answers.mask)
        return example.replace(targets={**example.targets, "reference": known})  # pyright: ignore[reportAttributeAccessIssue]

    def open(
        self, model: Any, schema: Any, put: Callable[[Any], Any], own: Callable[[Any], Any] = jax.device_get
    ) -> "Opened":
        """Ready to be called. put: from the host to the devices, by rows; own: back, this process's rows."""
        return Opened(self, model, put)


class Opened:
    """Judged pairs beside this model: a pure function of weights and rows, compiled once."""

    def __init__(self, judged: Judged, model: Any, put: Callable[[Any], Any]):
        self.judged, self.model, self.put = judged, model, put
        self._learn = jax.jit(self._learned)

    def __call__(
        self, weights: Any, begun: Any, batch: Batch, *, key: Any, step: Any
    ) -> tuple[Batch, dict[str, float]]:
        """What the step is to learn from, on the devices, and figures of it. batch: of the data, on the host."""
        learned, figures = self._learn(weights, begun, self.put(batch))
        return self.put(learned), {name: float(value) for name, value in jax.device_get(figures).items()}

    def _learned(self, weights: Any, begun: Any, batch: Batch) -> tuple[Batch, dict[str, Any]]:
        batch, far = pairs.beside(self.model, weights, begun, batch, target=self.judged.target)
        answers: Any = batch.targets[self.judged.target]
        sums, words = (
            segments.summed(each, answers.mask, answers.segments, 2) for each in (far, answers.mask.astype(far.dtype))
        )
        both, more = jnp.all(words > 0, axis=1), sums[:, 0] - sums[:, 1]
        count = jnp.maximum(jnp.sum(both), 1)
        figures = {"apart": more, "right": (1 + jnp.sign(more)) / 2}
        return batch, {name: jnp.sum(jnp.where(both, each, 0)) / count for name, each in figures.items()}
