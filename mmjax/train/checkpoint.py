"""State, key and data position saved in one commit. The one room that knows orbax."""

import contextlib
import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp

from mmjax.core import UserError

# Devices that all have an array whole would each write a part of it, which takes a program that cuts the part off.
# Parts of fewer bytes are not worth it.
_SLICE = 2**20
_ALIGNED = 64  # bytes


class Checkpoints:
    """Saved steps of a run. A save is atomic: one that was cut off does not exist."""

    def __init__(self, path: Path, *, keep: int = 2):
        policy: Any = ocp.training.preservation_policies.LatestN(keep)
        context = ocp.Context()
        context.array.saving.min_slice_bytes_for_replica_parallel = _SLICE
        self._path = path.absolute()
        self._checkpointer = ocp.training.Checkpointer(
            str(self._path),
            preservation_policy=policy,
            cleanup_tmp_directories=True,
            context=context,
        )
        self._beside = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Any = None
        self._begun: int | None = None
        self._told = False  # orbax tells a failure again when it is closed

    def latest(self) -> int | None:
        """The last step that was saved, None if none was; of one on its way only ``wait`` knows."""
        last = self._checkpointer.latest
        return None if last is None else last.step

    def save(self, step: int, state: Any, data: dict[str, Any]) -> None:
        """Start saving; returns once ``state`` may be donated. ``data``: JSON-ready iterator state.

        Raises UserError where the save before it failed, or this one can't begin.
        """
        if step == self._begun:
            return
        self.wait()
        if step == self.latest():
            return
        with self._telling():
            self._room()
        position = {"position": json.dumps(data), "step": np.asarray(step)}
        if _here(state):
            # Orbax takes some ten times as long to begin with many small arrays as a copy of them does.
            copies, wide = jax.tree.map(_copied, state), jax.config.read("jax_enable_x64")
            self._pending = self._beside.submit(self._write, step, copies, position, wide)
        else:
            with self._telling():
                self._pending = self._begin(step, state, position)
        self._begun = step

    def _room(self) -> None:
        """Raises OSError where nothing can be made. Orbax waits ten minutes for a folder that it can't make."""
        with tempfile.TemporaryFile(dir=self._path):
            pass

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError) as error:
            self._told = True
            then = f"mend that, and the run goes on from step {latest(self._path)}"
            raise UserError(f"{self._path}: no checkpoint can be written: {_first(error)}; {then}") from error

    def _write(self, step: int, copies: Any, position: Any, wide: bool) -> None:
        with jax.enable_x64(wide):  # which is a matter of the thread
            self._begin(step, jax.tree.map(lambda made: made(), copies), position).result()

    def _begin(self, step: int, state: Any, position: Any) -> Any:
        return self._checkpointer.save_checkpointables_async(step, {"state": state, "data": position}, force=True)

    def restore(self, abstract: Any) -> tuple[Any, dict[str, Any]]:
        """The last state, laid out as the shapes and shardings of ``abstract`` say, and its data position."""
        self.wait()
        try:
            wanted = {"state": abstract, "data": {"position": "", "step": np.asarray(0)}}
            items = self._checkpointer.load_checkpointables(None, wanted)
        except (ValueError, KeyError, OSError) as error:
            raise UserError(f"{self._path}: the checkpoint can't be read: {_first(error)}") from error
        return items["state"], json.loads(items["data"]["position"])

    def wait(self) -> None:
        """Until what was started is on disk. Raises UserError for what kept it from there."""
        pending, begun = self._pending, self._begun
        self._pending = self._begun = None
        if pending is not None:
            with self._telling():
                pending.result()
        self._begun = begun

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._beside.shutdown()
            with contextlib.suppress(ValueError, OSError) if self._told else contextlib.nullcontext():
                self._checkpointer.close()


def _first(error: Exception) -> str:
    """The first line of what it says."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _here(state: Any) -> bool:
    """Whether all of it lies on processors, and there is no other process."""
    arrays = [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array)]
    platforms = {device.platform for leaf in arrays for device in leaf.devices()}
    return jax.process_count() == 1 and platforms <= {"cpu"}


def _copied(leaf: Any) -> Callable[[], Any]:
    """A copy in memory that nobody can donate or change; what it gives when called is the array as it was."""
    if not isinstance(leaf, jax.Array):
        other = copy.deepcopy(leaf)
        return lambda: other
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        words, kind = _copied(jax.random.key_data(leaf)), jax.random.key_impl(leaf)
        return lambda: jax.random.wrap_key_data(words(), impl=kind)
    if len(leaf.devices()) == 1:
        host, place = _aligned(np.asarray(leaf)), leaf.sharding
        return lambda: jax.device_put(host, place)
    return _copied_shards(leaf)


def _copied_shards(leaf: jax.Array) -> Callable[[], jax.Array]:
    """As ``_copied``, of an array of several devices; what some of them have alike is copied once."""
    shape, place, parts, where = leaf.shape, leaf.sharding, {}, []
    for shard in leaf.addressable_shards:
        part = str(shard.index)
        if part not in parts:
            parts[part] = _aligned(np.asarray(shard.data))
        where.append((parts[part], shard.data.sharding))
    return lambda: jax.make_array_from_single_device_arrays(shape, place, [jax.device_put(*part) for part in where])


def _aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins where XLA's own arrays do, so that a device takes it as it is."""
    room = np.empty(array.nbytes + _ALIGNED, np.uint8)
    start = -room.ctypes.data % _ALIGNED
    copied = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


@contextlib.contextmanager
def opened(path: Path, *, keep: int = 2) -> Iterator[Checkpoints]:
    """Checkpoints that are finished and closed on the way out, whatever happens."""
    checkpoints = Checkpoints(path, keep=keep)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def latest(path: Path) -> int:
    """The last step that is saved in ``path``, 0 for none. Only looks, so that the folder may be another run's."""
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=0)


def abstract(shapes: Any, shardings: Any) -> Any:
    """Shapes with shardings, as ``restore`` wants them."""
    return jax.tree.map(lambda s, d: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=d), shapes, shardings)
