"""Gradients of losses that want the whole batch at once, of a model that runs on one part of it after another.

The model runs twice: at first for what it says alone, of which the losses and their gradient are taken over the whole
batch; then part by part, each pulling back its rows of that gradient (Gao et al., 2021,
https://arxiv.org/abs/2101.06983). So memory is that of one part, but for what the losses read: fused tokens and heads.
Of streams they know the names and masks.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Outputs

# Of outputs and their batch: the losses that are added up, and what is told of them.
Losses = Callable[[Any, Batch], tuple[dict[str, jax.Array], dict[str, jax.Array]]]


def cut(batch: Any, pieces: int) -> Any:
    """Rows go to parts in turn, so that each stays spread over all devices as the batch was."""
    return jax.tree.map(lambda x: x.reshape(len(x) // pieces, pieces, *x.shape[1:]).swapaxes(0, 1), batch)


def joined(micros: Any) -> Any:
    """What was cut, in the order that it had."""
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(len(x) * x.shape[1], *x.shape[2:]), micros)


def pulls(
    said: Callable[[Batch, jax.Array], Any], losses: Losses, batch: Batch, keys: jax.Array, pieces: int
) -> tuple[Any, dict[str, jax.Array]]:
    """For each part the gradient of the losses' sum by what the model said, and what is told of the losses.

    said: outputs of a part, with the key of its noise.
    """
    outputs = joined(jax.lax.map(lambda given: _read(said(*given)), (cut(batch, pieces), keys)))
    floats, rest = _split(outputs)

    def total(floats: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        weighted, parts = losses(_merged(floats, rest), batch)
        return jnp.asarray(sum(weighted.values())), parts

    pull, parts = jax.grad(total, has_aux=True)(floats)
    return cut(pull, pieces), parts


def pulled(pull: Any, outputs: Outputs) -> jax.Array:
    """A number whose gradient by the model is what ``pull`` says of a part's outputs."""
    floats, _ = _split(_read(outputs))
    found = [jnp.sum(p.astype(jnp.float32) * x.astype(jnp.float32)) for p, x in zip(pull, floats, strict=True)]
    return jnp.asarray(sum(found))


def _read(outputs: Outputs) -> Outputs:
    bare = {name: tokens.replace(values=tokens.values[..., :0]) for name, tokens in outputs.streams.items()}
    return outputs.replace(streams=bare)  # pyright: ignore[reportAttributeAccessIssue]


def _split(outputs: Any) -> tuple[list[jax.Array], Any]:
    """The leaves that have gradients, and the rest with its tree."""
    leaves, tree = jax.tree.flatten(outputs)
    floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return floats, (tree, [None if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves])


def _merged(floats: list[jax.Array], rest: Any) -> Any:
    """What was split."""
    tree, leaves = rest
    given = iter(floats)
    return jax.tree.unflatten(tree, [next(given) if leaf is None else leaf for leaf in leaves])
