"""Batches on their way to the devices; where an experiment has a rollout, it makes of them what a step learns from."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch
from mmjax.train import pixel, place, state
from mmjax.train.prepare import Prepared


class Rolled:
    """What a step is given of a batch of the data, and figures of how it came to be.

    cut: the state as a tree, from however the loop holds it.

    A function of the state, the batch and the run's seed alone: so a run that was killed goes on as if it had not been.
    """

    def __init__(self, prepared: Prepared, cut: Callable[[Any], state.TrainState]):
        self._lora, self._begun = prepared.experiment.lora, None
        self._cut, self._schema = cut, prepared.examples.schema
        self._put = functools.partial(place.put, mesh=prepared.mesh)
        own = prepared.experiment.rollout
        host = functools.partial(place.own, mesh=prepared.mesh)
        self._act = None if own is None else own.open(prepared.experiment.model, prepared.schema, self._put, host)
        self.refers = own is not None and own.refers

    def begin(self, begun: state.TrainState) -> None:
        """Keep the weights that the run began with, where they are referred to."""
        if self.refers:
            self._begun = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))(state.current(begun, self._lora))

    def __call__(self, now: Any, batch: Batch) -> tuple[Batch, dict[str, float]]:
        if self._act is None:
            return self._put(pixel.alike(batch, self._schema)), {}
        now, batch = self._cut(now), self._schema.done(batch)
        return self._act(state.current(now, self._lora), self._begun, batch, key=now.key, step=now.step)
