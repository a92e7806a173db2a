"""A batch from one process to another through memory that both see, so that nothing is copied on the way."""

import dataclasses
import mmap
import os
import tempfile
from typing import Any

import numpy as np

from mmjax.core import Batch, Signal

_SHARED = "/dev/shm"
_EDGE = 64  # bytes; what lies on such an edge a device can take as it lies
_PARTS = ("values", "mask", "segments", "positions")


@dataclasses.dataclass(frozen=True)
class Parcel:
    """Where a batch lies: a file in memory, and for each array (side, name, part, type, shape, first byte)."""

    path: str
    arrays: tuple[tuple[str, str, str, str, tuple[int, ...], int], ...]

    def open(self) -> Batch:
        """The batch, once. The memory is given back when its last array is let go."""
        try:
            with open(self.path, "r+b") as file:
                held = mmap.mmap(file.fileno(), 0)
        finally:
            os.unlink(self.path)
        found: dict[str, dict[str, dict[str, Any]]] = {"inputs": {}, "targets": {}}
        for side, name, part, kind, shape, start in self.arrays:
            array = np.frombuffer(held, np.dtype(kind), int(np.prod(shape)), start).reshape(shape)
            found[side].setdefault(name, {})[part] = array
        inputs, targets = (
            {name: Signal(**parts) for name, parts in found[side].items()} for side in ("inputs", "targets")
        )
        return Batch(inputs, targets)

    def drop(self) -> None:
        """Give the memory back unopened."""
        if os.path.exists(self.path):
            os.unlink(self.path)


def wrapped(batch: Batch) -> Parcel:
    """A batch, written where other processes see it. OSError where memory does not suffice."""
    arrays, held, size = [], [], 0
    for side in ("inputs", "targets"):
        for name, signal in getattr(batch, side).items():
            for part in _PARTS:
                array = getattr(signal, part)
                if array is not None:
                    arrays.append((side, name, part, array.dtype.str, array.shape, size))
                    held.append((size, array))
                    size += -(-array.nbytes // _EDGE) * _EDGE
    descriptor, path = tempfile.mkstemp(prefix="mmjax-", dir=_SHARED if os.path.isdir(_SHARED) else None)
    with os.fdopen(descriptor, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))  # or a full memory would kill the process
            with mmap.mmap(file.fileno(), max(size, 1)) as memory:
                for start, array in held:
                    whole = np.frombuffer(memory, array.dtype, array.size, start)
                    whole[:] = array.reshape(-1)
                    del whole  # or the memory could not be closed
        except BaseException:
            os.unlink(path)
            raise
    return Parcel(path, tuple(arrays))
