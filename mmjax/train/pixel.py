"""Pictures that come to a step as they were decoded, scaled where the step runs."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.core import Batch, Signal, UserError
from mmjax.train import place
from mmjax.train.state import TrainState
from mmjax.train.step import Step

_PROBES = 16  # rows that show what kind of numbers pictures are of


def opened(data: Any, schema: Any) -> Any:
    """The examples of a data set whose pictures a step scales, unless they are numbers other than pixels of 8 bits.

    All processes have to agree on that, so the first rows say it for all; ``alike`` tells of others that come later.
    """
    late = schema.late()
    if late == schema:
        return data.open(schema)
    examples = data.open(late)
    names = [name for name, field in late.inputs.items() if field != schema.inputs[name]]
    first = examples.take(range(min(_PROBES, len(examples))))
    found = [example["inputs"].get(name) for example in first for name in names]
    return examples if all(picture is None or picture.dtype == "uint8" for picture in found) else data.open(schema)


def scaled(step: Step, schema: Any) -> Step:
    """The step, of batches in which pictures may have been left for later."""
    scales = {
        name: (field.mean, field.std) for name, field in schema.inputs.items() if schema.late().inputs[name] != field
    }

    @functools.wraps(step)  # it is the step still, by name, too
    def given(state: TrainState, batch: Batch) -> Any:
        return step(state, batch.replace(inputs=_scaled(batch.inputs, scales)))

    return given if scales else step


def alike(batch: Batch, schema: Any) -> Batch:
    """The batch, of examples that were opened with ``schema``.

    Raises UserError where one of several processes has other numbers in it than those beside it may have: their steps
    would not be the same program, and would wait for each other.
    """
    for name, field in schema.inputs.items() if place.several() else ():
        signal = batch.inputs.get(name)
        if getattr(field, "late", False) and signal is not None and signal.values.dtype != np.uint8:
            raise UserError(
                f"{name}: some pictures are pixels of 8 bits and some are other numbers, of which several processes "
                "cannot make one batch; save all of them in one kind"
            )
    return batch


def _scaled(inputs: Mapping[str, Signal], scales: Mapping[str, Any]) -> dict[str, Signal]:
    """Pixels of 8 bits by mean and deviation, as ``fields.Image`` would scale them; what is absent is 0."""
    found = dict(inputs)
    for name, (mean, std) in scales.items():
        signal = inputs.get(name)
        if signal is not None and signal.values.dtype == jnp.uint8:
            values = (signal.values - np.asarray(mean, np.float32)) * (1 / np.asarray(std, np.float32))
            present = signal.mask.reshape(-1, *(1,) * (values.ndim - 1))
            found[name] = signal.replace(values=jnp.where(present, values, 0))
    return found
