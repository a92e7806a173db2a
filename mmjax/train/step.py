"""The training step: one short pure function."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen

from mmjax.core import LOSSES, Batch, Mean, Outputs, UserError, modality
from mmjax.train import cached, frozen, viewed
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
    views: Any = None,
    still: tuple[str, ...] = (),
    cut: Callable[[Any], Any] = lambda tree: tree,
) -> Step:
    """``(state, batch) -> (state, metrics)``; metrics are scalars: loss, each objective, grad_norm, those of balance.

    An objective's count must depend on the batch alone, after its views. So it is known before the network runs, and
    the gradients of micro-batches, each over the whole batch's count, add up to the whole batch's. What layers want
    small themselves, as a mixture an even use of its experts, is a loss named "layers", the mean of micro-batches.
    Objectives that compare all rows of a batch (``whole``) see it all, whatever its micro-batches (``train.cached``).
    still: patterns of parameters that are frozen, those that ``optimizer`` passes over, too (``train.frozen``).
    cut: what a tree of the state's is to the model, where the state holds it in another way (``train.flat``).
    """
    if LAYERS in objectives:
        raise UserError(f"objectives: {LAYERS!r} is what layers want small themselves; choose another name")
    forward = _Forward(model, objectives, accumulate, still)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        hide_key, noise_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        batch = viewed.through(views, model, state, batch, cut)
        batch = batch.replace(inputs=modality.dropout(batch.inputs, rate=modality_dropout, key=hide_key))
        own, known = frozen.learned(still, state.params), state.replace(params=cut(state.params))
        counts = {name: mean.count for name, mean in _count(model, objectives, known, batch).items()}

        def gradient(variables: Any, micro: Batch, key: jax.Array, pull: Any = None):
            def losses(params: Any) -> tuple[dict[str, jax.Array], Ran]:
                return forward(cut(frozen.whole(params, state.params)), variables, micro, key, counts, pull)

            how = _summed if balance is None else balance
            grads, ran, figures = how(losses, own, objectives=objectives, batch=micro, key=jax.random.fold_in(key, 1))
            return grads, (ran.parts, figures, ran.variables)

        pulls, together = forward.together(known, batch, noise_key, counts)
        grads, (parts, figures, variables) = _accumulate(
            gradient, state.variables, batch, noise_key, accumulate, pulls=pulls
        )
        parts |= together
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = frozen.whole(optax.apply_updates(own, updates), state.params)
        total = sum(forward.weighted(parts).values())
        metrics = {"loss": total, "grad_norm": optax.tree.norm(grads)} | figures
        metrics |= {f"loss/{name}": part for name, part in parts.items()}
        return state.replace(step=state.step + 1, params=params, variables=variables, opt_state=opt_state), metrics

    return step


@dataclass(frozen=True)
class _Forward:
    """What the model says of a batch, and what the objectives make of it."""

    model: linen.Module | Placed
    objectives: Mapping[str, Any]
    accumulate: int
    still: tuple[str, ...] = ()

    def __call__(self, params: Any, variables: Any, batch: Batch, key: jax.Array, counts: Any, pull: Any = None):
        """Weighted losses, and what was left. pull: of a part of the batch, where some losses are of all of it."""
        outputs, variables, own = self._said(params, variables, batch, key)
        parts: dict[str, Any] = self._measured(outputs, batch, counts, whole=None if pull is None else False)
        if own:
            parts[LAYERS] = sum(map(jnp.sum, own)) / self.accumulate
        losses = self.weighted(parts)
        if pull is not None:
            losses[LAYERS] = losses.get(LAYERS, jnp.zeros(())) + cached.pulled(pull, outputs)
        return losses, Ran(parts, variables, outputs)

    def together(self, state: TrainState, batch: Batch, key: jax.Array, counts: Any) -> tuple[Any, dict[str, Any]]:
        """What pulls at the outputs of each part of the batch, and the losses that are of all of it; else nothing."""
        if self.accumulate == 1 or not any(map(_whole, self.objectives.values())):
            return None, {}

        def said(micro: Batch, key: jax.Array) -> Outputs:
            return self._said(state.params, state.variables, micro, key)[0]

        def losses(outputs: Outputs, batch: Batch) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
            parts = self._measured(outputs, batch, counts, whole=True)
            return self.weighted(parts), parts

        return cached.pulls(said, losses, batch, jax.random.split(key, self.accumulate), self.accumulate)

    def weighted(self, parts: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Each loss by its share."""
        return {name: part * (1.0 if name == LAYERS else self.objectives[name].weight) for name, part in parts.items()}

    def _said(self, params: Any, variables: Any, batch: Batch, key: jax.Array) -> tuple[Outputs, Any, list[jax.Array]]:
        given, mutable = {"params": params, **variables}, [*variables, LOSSES]
        with linen.intercept_methods(frozen.still(self.still)) if self.still else contextlib.nullcontext():
            out: Any = self.model.apply(given, batch.inputs, train=True, rngs={"dropout": key}, mutable=mutable)
        variables = dict(out[1])
        return out[0], variables, jax.tree.leaves(variables.pop(LOSSES, {}))

    def _measured(self, outputs: Outputs, batch: Batch, counts: Any, *, whole: bool | None) -> dict[str, jax.Array]:
        """The losses that are of the whole batch, those that are not, or (None) all."""
        chosen = {n: o for n, o in self.objectives.items() if whole is None or _whole(o) == whole}
        return {n: o(outputs, batch).replace(count=counts[n]).value() for n, o in chosen.items()}


def _whole(objective: Any) -> bool:
    return getattr(objective, "whole", False)


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


def _accumulate(
    gradient: Callable[..., Any], variables: Any, batch: Batch, key: jax.Array, pieces: int, *, pulls: Any = None
):
    """Gradients and losses summed over micro-batches; mutable variables pass from one to the next."""
    if pieces == 1:
        return gradient(variables, batch, key)
    micros = cached.cut(batch, pieces)

    def body(carry: Any, piece: Any) -> tuple[Any, None]:
        variables, sums = carry
        grads, (parts, figures, variables) = gradient(variables, *piece)
        return (variables, jax.tree.map(jnp.add, sums, (grads, parts, figures))), None

    given = micros, jax.random.split(key, pieces), pulls
    shapes = jax.eval_shape(gradient, variables, *jax.tree.map(lambda x: x[0], given))
    sums = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (shapes[0], *shapes[1][:2]))
    (variables, (grads, parts, figures)), _ = jax.lax.scan(body, (variables, sums), given)
    return grads, (parts, figures, variables)
