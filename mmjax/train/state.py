"""All that a run must keep to go on, as one tree of arrays."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen

from mmjax.core import Batch
from mmjax.train.lora import Lora
from mmjax.train.optim import averaged


class TrainState(flax.struct.PyTreeNode):
    """step: how many are done. variables: mutable collections, usually empty. key: never changes."""

    step: Any
    params: Any
    variables: Any
    opt_state: Any
    key: Any


def make_init(
    model: linen.Module, optimizer: optax.GradientTransformation, example: Batch, lora: Lora | None = None
) -> Callable[[jax.Array], TrainState]:
    """The pure function from a key to the state at step 0. ``example`` gives shapes alone."""

    def init(key: jax.Array) -> TrainState:
        init_key, run_key = jax.random.split(key)
        inputs = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), example.inputs)
        variables = dict(model.init(init_key, inputs, train=False))
        params = variables.pop("params", {})
        params = params if lora is None else lora.begin(params, jax.random.fold_in(init_key, 1))
        return TrainState(jnp.zeros((), jnp.int32), params, variables, optimizer.init(params), run_key)

    return init


def weights(state: TrainState, lora: Lora | None = None) -> dict[str, Any]:
    """What ``model.apply`` wants: the averaged parameters where the run keeps them, with ``lora``'s in their places."""
    return current(state.replace(params=averaged(state.params, state.opt_state)), lora)


def current(state: TrainState, lora: Lora | None = None) -> dict[str, Any]:
    """The same of the parameters as they are."""
    params = state.params if lora is None else jax.jit(lora.merged)(state.params)
    return {"params": params, **state.variables}
