"""A batch after its views: what a step sees in place of the data's rows, made inside of the step."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Outputs, Signal, Tokens, UserError, trees
from mmjax.train.optim import averaged
from mmjax.train.state import TrainState

KEPT = "intermediates"  # linen's own name for what layers said
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

    def layers(self, inputs: Mapping[str, Signal], stream: str) -> list[Tokens]:
        """What the MLP of each layer of a modality's encoder says, before it is added, from the first to the last.

        Raises UserError where there are no such layers, or where they lie on several devices (``mesh.pipe``).
        """
        own = re.compile(rf"encoders_{re.escape(stream)}/(.*/)?(block_\d+|blocks)/mlp")

        def chosen(module: Any, method: str) -> bool:
            return method == "__call__" and own.fullmatch("/".join(module.path)) is not None

        options = {"train": False, "capture_intermediates": chosen}
        if self.variables is None:
            out, held = self.model.init_with_output(jax.random.key(0), inputs, mutable=True, **options)
        else:
            out, held = self.model.apply(self.variables, inputs, mutable=[KEPT], **options)
        found = trees.flatten(jax.tree.map(lambda x: x[0], held.get(KEPT, {}), is_leaf=lambda x: isinstance(x, tuple)))
        if not found:
            raise UserError(f"views: the model's {stream!r} has no layers with an MLP, or they lie on several devices")
        order = sorted(found, key=lambda path: [int(number) for number in re.findall(r"block_(\d+)", path)])
        each = [layer for path in order for layer in (found[path] if "/blocks/" in path else [found[path]])]
        mask = out.streams[stream].mask
        return jax.lax.stop_gradient([Tokens(values, mask) for values in each])


def through(views: Any, model: Any, state: TrainState, batch: Batch, cut: Callable[[Any], Any]) -> Batch:
    """The batch after its views, which ask the averaged weights where the run keeps them, else those that it has.

    A function of the state and the batch alone, so that a run that was killed goes on as if it had not been. cut: a
    tree of the state's as the model knows it.
    """
    if views is None:
        return batch
    variables = {"params": cut(averaged(state.params, state.opt_state)), **state.variables}
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), VIEWED)
    return views(batch, said=Said(model, variables), key=key)


def seen(views: Any, model: Any, example: Batch) -> Batch:
    """The shapes and types of a batch after its views; of a batch without any, as it is."""
    if views is None:
        return example
    return jax.eval_shape(lambda batch, key: views(batch, said=Said(model), key=key), example, jax.random.key(0))


@dataclass(frozen=True)
class Fixed:
    """What an evaluation sees: views of each row by itself, whose key is a function of ``seed`` and the row's number.

    So a row is seen alike at every step, in batches of any size and on any number of devices and processes. model: a
    linen module, which views ask with the weights that are measured; without weights, for shapes alone. Raises
    UserError for views that make of a row more than one, or draw from other rows.
    """

    views: Any
    model: Any
    seed: int = 0

    def __post_init__(self) -> None:
        if getattr(self.views, "crosses", False):
            raise UserError(
                f"{type(self.views).__name__} makes a row of other rows; an evaluator measures each by itself"
            )

    def __call__(self, variables: Any, batch: Batch, numbers: jax.Array) -> Batch:
        key, said = jax.random.fold_in(jax.random.key(self.seed), VIEWED), Said(self.model, variables)

        def one(row: Batch, number: jax.Array) -> Batch:
            alone = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], row)
            found = self.views(alone, said=said, key=jax.random.fold_in(key, number))
            if any(leaf.shape[0] != 1 for leaf in jax.tree.leaves(found)):
                raise UserError(
                    f"{type(self.views).__name__} makes several rows of one; an evaluator measures each row"
                )
            return jax.tree.map(lambda leaf: leaf[0], found)

        return jax.vmap(one)(batch, numbers)


def fixed(model: Any, evaluator: Any) -> Fixed | None:
    """What an evaluator's views make of rows; None where it has none."""
    return None if evaluator.views is None else Fixed(evaluator.views, model, evaluator.seed)
