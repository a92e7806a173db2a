"""Batches from the host to the mesh, each process giving its own rows."""

import functools
from typing import Any

import jax
import numpy as np

from mmjax.core import UserError
from mmjax.train import sharding


def shard(mesh: jax.sharding.Mesh) -> tuple[int, int]:
    """Which part of each batch this process reads, and how many parts there are.

    Processes that only axes tell apart which do not split rows hold the same rows, and so read the same part. Raises
    UserError where the rows of a process do not lie together.
    """
    pieces = sharding.rows(mesh)
    places = sharding.batch_sharding(mesh).devices_indices_map((pieces,)).items()
    own = sorted({rows.start or 0 for device, (rows,) in places if device.process_index == jax.process_index()})
    if own != list(range(own[0], own[0] + len(own))) or own[0] % len(own) or pieces % len(own):
        raise UserError(
            f"mesh {dict(mesh.shape)} scatters the rows of a process; let fewer devices share tensor, context and pipe"
        )
    return own[0] // len(own), pieces // len(own)


def several() -> bool:
    """Whether this process is one of several."""
    return jax.process_count() > 1


def meet(name: str) -> None:
    """Wait until every process is here."""
    if several():
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def put(batch: Any, mesh: jax.sharding.Mesh, *, stacked: bool = False) -> Any:
    """Global arrays, rows spread as ``sharding.batch_sharding`` says, from each process's local numpy rows.

    stacked: several batches along a first axis, of each of which the rows are spread so. What is global already is
    spread so, too.
    """
    place = sharding.batch_sharding(mesh)
    place = sharding.stacked(place) if stacked else place
    if not several():
        return jax.device_put(batch, place)
    if all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(batch)):
        return _laid(place)(batch)
    return _given(batch, place)


def whole(arrays: Any, mesh: jax.sharding.Mesh) -> Any:
    """Numpy arrays, the same in each process, on every device."""
    place = sharding.replicated(mesh)
    return _given(arrays, place) if several() else jax.device_put(arrays, place)


def _given(local: Any, place: jax.sharding.NamedSharding) -> Any:
    with jax.transfer_guard("allow"):  # asked for, though jax counts this way of asking as implicit
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(place, np.asarray(x)), local)


def own(rows: jax.Array, mesh: jax.sharding.Mesh) -> np.ndarray:
    """This process's rows of a global array, on the host: as many, and in the order, as ``put`` takes."""
    if not several():
        return jax.device_get(rows)
    laid = _laid(sharding.batch_sharding(mesh))(rows)
    parts = {shard.index[0].start or 0: shard.data for shard in laid.addressable_shards}
    return np.concatenate([jax.device_get(parts[at]) for at in sorted(parts)])


@functools.cache
def _laid(place: jax.sharding.NamedSharding) -> Any:
    """Arrays as they are, spread so."""
    return jax.jit(lambda tree: tree, out_shardings=place)


def check_batch(size: int, pieces: int, mesh: jax.sharding.Mesh, *, where: str) -> None:
    """Raises UserError where ``size`` rows do not spread evenly over micro-batches and devices."""
    if pieces < 1:
        raise UserError(f"optim.accumulate={pieces} must be at least 1")
    parts = pieces * sharding.rows(mesh)
    if size < 1 or size % parts:
        axes = [f"mesh.{axis}" for axis in sharding.ROWS if mesh.shape[axis] > 1]
        raise UserError(f"{where}={size} does not divide by {parts} ({' x '.join(['optim.accumulate', *axes])})")


def padded(size: int, mesh: jax.sharding.Mesh) -> int:
    """The smallest batch of at least ``size`` rows that spreads evenly: evaluation pads, never drops."""
    parts = sharding.rows(mesh)
    return -(-size // parts) * parts


def settle(mesh: jax.sharding.Mesh, values: Any) -> None:
    """Wait for ``values`` where several devices are one processor's; call it before each program but the first.

    They share its threads. With more programs under way, devices of one can wait for those of another, until XLA gives
    up after forty seconds and ends the process.
    """
    near = mesh.local_devices
    if len(near) > 1 and near[0].platform == "cpu":
        jax.block_until_ready(values)
