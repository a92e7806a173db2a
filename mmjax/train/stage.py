"""A scanned trunk as a pipeline: devices of the pipe axis hold some layers each, through which pieces of a batch go.

After GPipe (Huang et al., 2019, https://arxiv.org/abs/1811.06965), as one program: all stages stand side by side along
a first axis that the mesh splits, and after every turn what they gave moves on by one (GSPMD, Xu et al., 2021,
https://arxiv.org/abs/2105.04663). Of ``pieces + stages - 1`` turns a stage is at work in ``pieces``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.core import UserError
from mmjax.train.sharding import ROWS, AnyMesh, rows

_FREE = PartitionSpec.UNCONSTRAINED


def piped(
    layer: Any, params: Any, values: jax.Array, context: Any, *, mesh: AnyMesh, pieces: int, key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """``values`` (b n d) through all layers, and the sum of what the layers want small.

    layer: ``(params, values, context, key) -> (values, loss)``, of the parameters of one, which ``params`` has stacked.
    context: arrays with rows as ``values`` has, of which each piece has its own, or with one for all. pieces: the most
    that a batch is cut into, 0 for two a stage; fewer where its rows do not divide. Raises UserError where the layers
    do not divide by the stages.
    """
    stages, depth = mesh.shape["pipe"], jax.tree.leaves(params)[0].shape[0]
    if depth % stages:
        raise UserError(f"{depth} scanned layers do not divide by mesh.pipe={stages}")
    b, spread = len(values), rows(mesh) if len(values) % rows(mesh) == 0 else 1
    pieces = next(p for p in range(pieces or 2 * stages, 0, -1) if b // spread % p == 0)

    def placed(array: jax.Array, *spec: Any) -> jax.Array:
        spec += (_FREE,) * (array.ndim - len(spec))
        return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, PartitionSpec(*spec)))

    def cut(array: jax.Array) -> jax.Array:
        """Rows go to pieces in turn, so that each stays spread over all devices as the batch was."""
        if len(array) != b:
            return jnp.broadcast_to(array, (pieces, *array.shape))
        return placed(array.reshape(-1, pieces, *array.shape[1:]).swapaxes(0, 1), None, ROWS if spread > 1 else None)

    params = jax.tree.map(lambda x: placed(x.reshape(stages, depth // stages, *x.shape[1:]), "pipe"), params)
    numbers = jnp.arange(depth).reshape(stages, -1)
    context, inputs = jax.tree.map(cut, context), cut(values)
    waiting = jnp.zeros((stages - 1, *inputs.shape[1:]), inputs.dtype)

    def stage(params: Any, numbers: jax.Array, values: jax.Array, piece: jax.Array) -> tuple[jax.Array, jax.Array]:
        own = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, jnp.clip(piece, 0, pieces - 1), 0, False), context)
        busy = (piece >= 0) & (piece < pieces)

        def through(values: jax.Array, given: Any) -> tuple[jax.Array, jax.Array]:
            layer_params, number = given
            draw = None if key is None else jax.random.fold_in(jax.random.fold_in(key, number), piece)
            return layer(layer_params, values, own, draw)

        out, wishes = jax.lax.scan(through, values, (params, numbers))
        return out, jnp.where(busy, jnp.sum(wishes), 0.0)

    def turn(moved: jax.Array, given: Any) -> tuple[jax.Array, Any]:
        coming, number = given
        held = placed(moved.at[0].set(coming), "pipe", ROWS if spread > 1 else None)
        every = jax.vmap(stage, spmd_axis_name="pipe")
        out, wishes = every(params, numbers, held, number - jnp.arange(stages))
        out = placed(out, "pipe", ROWS if spread > 1 else None)
        return jnp.roll(out, 1, axis=0), (out[-1], jnp.sum(wishes))

    start = jnp.zeros((stages, *inputs.shape[1:]), inputs.dtype)
    turns = jnp.arange(pieces + stages - 1)
    _, (outputs, wishes) = jax.lax.scan(turn, start, (jnp.concatenate([inputs, waiting]), turns))
    whole = outputs[stages - 1 :].swapaxes(0, 1).reshape(values.shape)
    return whole, jnp.sum(wishes) / pieces
