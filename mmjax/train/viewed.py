"""A batch after its views: what a step sees in place of the data's rows, made inside of the step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax

from mmjax.core import Batch, Outputs, Signal
from mmjax.train.optim import averaged
from mmjax.train.state import TrainState

VIEWED = 2**32 - 2  # parts the key of views from a step's own


@dataclass(frozen=True)
class Said:
    """What a model says of inputs where views ask it: as in evaluation, and nobody learns through the answer.

    variables: None before there are any, where shapes alone are asked for.
    """

    model: Any
    variables: Any = None

    def __call__(self, inputs: Mapping[str, Signal]) -> Outputs:
        if self.variables is None:
            return self.model.init_with_output(jax.random.key(0), inputs, train=False)[0]
        return jax.lax.stop_gradient(self.model.apply(self.variables, inputs, train=False))


def through(views: Any, model: Any, state: TrainState, batch: Batch) -> Batch:
    """The batch after its views, which ask the averaged weights where the run keeps them, else those that it has.

    A function of the state and the batch alone, so that a run that was killed goes on as if it had not been.
    """
    if views is None:
        return batch
    variables = {"params": averaged(state.params, state.opt_state), **state.variables}
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), VIEWED)
    return views(batch, said=Said(model, variables), key=key)


def seen(views: Any, model: Any, example: Batch) -> Batch:
    """The shapes and types of a batch after its views; of a batch without any, as it is."""
    if views is None:
        return example
    return jax.eval_shape(lambda batch, key: views(batch, said=Said(model), key=key), example, jax.random.key(0))
