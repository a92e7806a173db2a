"""Batches from the host to the mesh, each process giving its own rows."""

from typing import Any

import jax
import numpy as np

from mmjax.core import Batch, UserError
from mmjax.train import sharding


def shard() -> tuple[int, int]:
    """This process and how many there are: the part of each batch that it reads."""
    return jax.process_index(), jax.process_count()


def meet(name: str) -> None:
    """Wait until every process is here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def put(batch: Any, mesh: jax.sharding.Mesh) -> Any:
    """Global arrays, rows spread over data and fsdp, from each process's local numpy rows."""
    place = sharding.batch_sharding(mesh)
    if jax.process_count() == 1:
        return jax.device_put(batch, place)
    with jax.transfer_guard("allow"):  # asked for, though jax counts this way of asking as implicit
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(place, np.asarray(x)), batch)


def check_batch(size: int, pieces: int, mesh: jax.sharding.Mesh, *, where: str) -> None:
    """Raises UserError where ``size`` rows do not spread evenly over micro-batches and devices."""
    parts = pieces * mesh.shape["data"] * mesh.shape["fsdp"]
    if size < 1 or size % parts:
        raise UserError(f"{where}={size} does not divide by {parts} (optim.accumulate x mesh.data x mesh.fsdp)")


def padded(size: int, mesh: jax.sharding.Mesh) -> int:
    """The smallest batch of at least ``size`` rows that spreads evenly: evaluation pads, never drops."""
    parts = mesh.shape["data"] * mesh.shape["fsdp"]
    return -(-size // parts) * parts


def example(schema: Any, size: int) -> Batch:
    """A batch of ``size`` absent rows: the shapes that this schema gives."""

    def absent(fields: Any) -> dict[str, Any]:
        return {name: field.batch([None] * size) for name, field in fields.items()}

    return Batch(inputs=absent(schema.inputs), targets=absent(schema.targets))
