"""The cells of a row to bytes and back, by msgpack: plain data and arrays of numbers, so nothing read can run."""

from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

_ARRAY, _WAVE = 1, 2
_KINDS = "buif"


def dumped(cells: Mapping[str, Any]) -> bytes:
    """Cells as one record. A pair (samples, rate) is a recording."""
    return msgpack.packb({name: _plain(cell) for name, cell in cells.items()}, use_bin_type=True)  # pyright: ignore[reportReturnType]


def loaded(record: bytes) -> dict[str, Any]:
    """The cells that ``dumped`` wrote; arrays are views of the record, and read-only. ValueError for anything else."""
    try:
        cells = msgpack.unpackb(record, ext_hook=_array, raw=False)
    except (msgpack.UnpackException, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"it is no row ({error})") from None
    if not isinstance(cells, dict):
        raise ValueError("it is no row")
    return cells


def slim(values: np.ndarray) -> np.ndarray:
    """The same numbers in fewer bytes where none is lost: float64 as float32, sound of 16 bits as int16."""
    if values.dtype == np.float64:
        single = values.astype(np.float32)
        return single if np.array_equal(single, values) else values
    if values.dtype == np.float32 and values.ndim == 1:
        levels = np.round(values * 32768)
        fits = levels.size and levels.min() >= -32768 and levels.max() <= 32767
        whole = levels.astype(np.int16) if fits else None
        if whole is not None and np.array_equal(whole.astype(np.float32) / 32768, values):
            return whole
    return values


def _plain(cell: Any) -> Any:
    if isinstance(cell, tuple) and len(cell) == 2 and isinstance(cell[0], np.ndarray):
        head = msgpack.packb([cell[0].dtype.str, cell[0].shape, cell[1]])
        return msgpack.ExtType(_WAVE, _joined(head, cell[0]))
    if isinstance(cell, np.generic):
        return cell.item()
    if isinstance(cell, np.ndarray):
        return msgpack.ExtType(_ARRAY, _joined(msgpack.packb([cell.dtype.str, cell.shape]), cell))
    if isinstance(cell, list | tuple):
        return [_plain(item) for item in cell]
    return cell


def _joined(head: Any, array: np.ndarray) -> bytes:
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"an array of {array.dtype} is no cell")
    return bytes([len(head)]) + head + np.ascontiguousarray(array).tobytes()


def _array(code: int, data: bytes) -> Any:
    size = data[0] + 1
    head = msgpack.unpackb(data[1:size])
    kind = np.dtype(head[0])
    if kind.kind not in _KINDS or code not in (_ARRAY, _WAVE):
        raise ValueError(f"an array of {kind} is no cell")
    array = np.frombuffer(data, kind, offset=size).reshape(head[1])
    return (array, head[2]) if code == _WAVE else array
