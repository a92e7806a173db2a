"""Rewards that a model learned from what people like."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mmjax.core import UserError, segments
from mmjax.data.fields import Ranked
from mmjax.train import folder, sharding

_AT_ONCE = 64  # rows; more go through in turn, and fewer are padded, so that one program serves all


@dataclass(frozen=True)
class Learned:
    """What the reward model of the folder ``run`` says of an answer to a prompt: a reward as any other.

    It is a run that learned by ``objectives.Ranking`` over ``fields.Ranked``; head: its rewards. It reads texts alone:
    what else its prompts have room for is missing, and of what is longer than those that it learned from it reads as
    much as of those. The folder has to stay where it is.
    """

    run: str
    head: str = "reward"

    def __call__(self, prompt: str, answer: str, truth: str) -> float:
        return float(self.many([prompt], [answer], [truth])[0])

    def many(self, prompts: Sequence[str], answers: Sequence[str], truths: Sequence[str]) -> np.ndarray:
        """Of as many prompts and answers."""
        known = folder.there(self.run, of="reward.run")
        field, model = _opened(str(known.path.resolve()), known.step(), self.head)
        rows = [field.answered(*one) for one in zip(prompts, answers, strict=True)]
        found = [model(field.prompt.batch(_filled(rows[at : at + _AT_ONCE]))) for at in range(0, len(rows), _AT_ONCE)]
        return np.concatenate([np.zeros(0), *found])[: len(rows)]


def _filled(rows: list[np.ndarray]) -> list[np.ndarray | None]:
    return [*rows, *[None] * (_AT_ONCE - len(rows))]


@functools.lru_cache(maxsize=2)
def _opened(run: str, step: int, head: str) -> tuple[Ranked, Callable[[Any], np.ndarray]]:
    """The field of a run's answers, and what gives rows of them their rewards, by its last step, ``step``."""
    known = folder.opened(run)
    model, schema = known.experiment().model, known.schema()
    field = schema.inputs.get(getattr(model, "stream", ""))
    if not isinstance(field, Ranked):
        raise UserError(f"{run} is no run of a reward model, which reads fields.Ranked")
    weights = known.weights()

    def said(weights: Any, text: Any) -> jax.Array:
        outputs: Any = model.apply(weights, {model.stream: text}, train=False)
        if head not in outputs.heads:
            raise UserError(f"the model of {run} has no head {head!r}; it has {', '.join(outputs.heads)}")
        return segments.ends(outputs.heads[head], text.mask, None, 1)[:, 0]

    compiled = jax.jit(said)

    def rewards(text: Any) -> np.ndarray:
        with sharding.aside():  # where the weights are, whatever mesh learns from them
            return np.asarray(jax.device_get(compiled(weights, jax.device_put(text))), np.float64)

    return field, rewards
