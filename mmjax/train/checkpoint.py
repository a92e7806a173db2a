"""State, key and data position saved in one commit. The one room that knows orbax."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from mmjax.core import UserError

# Devices that all have an array whole would each write a part of it, which takes a program that cuts the part off.
# Parts of fewer bytes are not worth it.
_SLICE = 2**20


class Checkpoints:
    """Saved steps of a run. A save is atomic: one that was cut off does not exist."""

    def __init__(self, path: Path, *, keep: int = 2):
        policy: Any = ocp.training.preservation_policies.LatestN(keep)
        context = ocp.Context()
        context.array.saving.min_slice_bytes_for_replica_parallel = _SLICE
        self._checkpointer = ocp.training.Checkpointer(
            str(path.absolute()),
            preservation_policy=policy,
            cleanup_tmp_directories=True,
            context=context,
        )
        self._pending: Any = None

    def latest(self) -> int | None:
        """The last step that was saved, None if none was."""
        last = self._checkpointer.latest
        return None if last is None else last.step

    def save(self, step: int, state: Any, data: dict[str, Any]) -> None:
        """Start saving; returns once ``state`` may be donated. ``data``: JSON-ready iterator state."""
        if self.latest() == step:
            return
        self.wait()
        items = {"state": state, "data": {"position": json.dumps(data), "step": np.asarray(step)}}
        self._pending = self._checkpointer.save_checkpointables_async(step, items, force=True)

    def restore(self, abstract: Any) -> tuple[Any, dict[str, Any]]:
        """The last state, laid out as the shapes and shardings of ``abstract`` say, and its data position."""
        try:
            wanted = {"state": abstract, "data": {"position": "", "step": np.asarray(0)}}
            items = self._checkpointer.load_checkpointables(None, wanted)
        except (ValueError, KeyError, OSError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(f"{self._checkpointer.directory}: the checkpoint can't be read: {first}") from error
        return items["state"], json.loads(items["data"]["position"])

    def wait(self) -> None:
        """Until what was started is on disk."""
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def close(self) -> None:
        self.wait()
        self._checkpointer.close()


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
