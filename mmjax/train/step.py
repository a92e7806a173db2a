"""The training step: one short pure function."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen

from mmjax.core import LOSSES, Batch, Mean, Outputs, UserError, modality
from mmjax.train.activation import Placed
from mmjax.train.state import TrainState

LAYERS = "layers"


class Ran(NamedTuple):
    """What a pass forward leaves: unweighted losses, mutable variables, and what the model said."""

    parts: dict[str, jax.Array]
    variables: Any
    outputs: Outputs


Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]


def make_step(
    model: linen.Module | Placed,
    objectives: Mapping[str, Any],
    optimizer: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    modality_dropout: float = 0.0,
    balance: Any = None,
) -> Step:
    """``(state, batch) -> (state, metrics)``; metrics are scalars: loss, each objective, grad_norm, those of balance.

    An objective's count must depend on the batch alone. So it is known before the network runs, and
    the gradients of micro-batches, each over the whole batch's count, add up to the whole batch's. What layers want
    small themselves, as a mixture an even use of its experts, is a loss named "layers", the mean of micro-batches.
    """
    if LAYERS in objectives:
        raise UserError(f"objectives: {LAYERS!r} is what layers want small themselves; choose another name")
    weights = {LAYERS: 1.0} | {name: objective.weight for name, objective in objectives.items()}

    def forward(params: Any, variables: Any, batch: Batch, key: jax.Array, counts: Mapping[str, jax.Array]):
        given, mutable = {"params": params, **variables}, [*variables, LOSSES]
        outputs, variables = model.apply(given, batch.inputs, train=True, rngs={"dropout": key}, mutable=mutable)
        variables = dict(variables)
        own = jax.tree.leaves(variables.pop(LOSSES, {}))
        parts = {
            name: objective(outputs, batch).replace(count=counts[name]).value()
            for name, objective in objectives.items()
        }
        if own:
            parts[LAYERS] = sum(map(jnp.sum, own)) / accumulate
        return {name: weights[name] * part for name, part in parts.items()}, Ran(parts, variables, outputs)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        hide_key, noise_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        batch = batch.replace(inputs=modality.dropout(batch.inputs, rate=modality_dropout, key=hide_key))
        counts = {name: mean.count for name, mean in _count(model, objectives, state, batch).items()}

        def gradient(variables: Any, micro: Batch, key: jax.Array):
            def losses(params: Any) -> tuple[dict[str, jax.Array], Ran]:
                return forward(params, variables, micro, key, counts)

            how = _summed if balance is None else balance
            grads, ran, figures = how(
                losses, state.params, objectives=objectives, batch=micro, key=jax.random.fold_in(key, 1)
            )
            return grads, (ran.parts, figures, ran.variables)

        grads, (parts, figures, variables) = _accumulate(gradient, state.variables, batch, noise_key, accumulate)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        total = sum(weights[name] * part for name, part in parts.items())
        metrics = {"loss": total, "grad_norm": optax.tree.norm(grads)} | figures
        metrics |= {f"loss/{name}": part for name, part in parts.items()}
        return state.replace(step=state.step + 1, params=params, variables=variables, opt_state=opt_state), metrics

    return step


def _summed(losses: Any, params: Any, **_: Any) -> tuple[Any, Ran, dict[str, jax.Array]]:
    """The gradient of the sum of all losses."""

    def total(params: Any) -> tuple[Any, Ran]:
        parts, ran = losses(params)
        return sum(parts.values()), ran

    return *jax.grad(total, has_aux=True)(params), {}


def _count(
    model: linen.Module | Placed, objectives: Mapping[str, Any], state: TrainState, batch: Batch
) -> dict[str, Mean]:
    """Each objective on outputs of zeros: its total means nothing, its count is the batch's own."""
    variables = {"params": state.params, **state.variables}
    shapes = jax.eval_shape(lambda v, i: model.apply(v, i, train=False), variables, batch.inputs)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return {name: objective(zeros, batch) for name, objective in objectives.items()}


def _accumulate(gradient: Callable[..., Any], variables: Any, batch: Batch, key: jax.Array, pieces: int):
    """Gradients and losses summed over micro-batches; mutable variables pass from one to the next."""
    if pieces == 1:
        return gradient(variables, batch, key)
    # Rows go to micro-batches in turn, so that each stays spread over all devices as the batch was.
    micros = jax.tree.map(lambda x: x.reshape(-1, pieces, *x.shape[1:]).swapaxes(0, 1), batch)

    def body(carry: Any, piece: Any) -> tuple[Any, None]:
        variables, sums = carry
        grads, (parts, figures, variables) = gradient(variables, *piece)
        return (variables, jax.tree.map(jnp.add, sums, (grads, parts, figures))), None

    keys = jax.random.split(key, pieces)
    first = jax.tree.map(lambda x: x[0], micros)
    shapes = jax.eval_shape(gradient, variables, first, key)
    sums = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (shapes[0], *shapes[1][:2]))
    (variables, (grads, parts, figures)), _ = jax.lax.scan(body, (variables, sums), (micros, keys))
    return grads, (parts, figures, variables)
