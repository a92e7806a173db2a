"""Safetensors files: named arrays, as most released weights come. Nothing in them can run.

Eight bytes that tell the length of a header in JSON, the header, and the arrays' bytes one after the other.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from mmjax.core import UserError

_TYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_LONGEST = 100_000_000  # bytes of a header, as the format's own reader has it
_METADATA = "__metadata__"


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Arrays by name, mapped and so read when they are used. Raises UserError where the file is damaged or cut off."""
    header, entries = _opened(path)
    size, at = Path(path).stat().st_size, 8 + len(header)
    body = np.memmap(path, np.uint8, "r", offset=at) if size > at else np.empty(0, np.uint8)
    try:
        return {name: _array(body, **entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def _opened(path: str | os.PathLike[str]) -> tuple[bytes, dict[str, Any]]:
    """The header as it stands there, and what it says of each array."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_LONGEST, size - 8):
            raise UserError(f"{path} is no safetensors file, or cut off")
        header = file.read(length)
    try:
        entries = json.loads(header)
        entries.pop(_METADATA, None)
        return header, dict(entries)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def _array(body: np.ndarray, *, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    start, stop = data_offsets
    kind = np.dtype(_TYPES[dtype])
    if not 0 <= start <= stop <= len(body) or stop - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"bytes {start} to {stop} of {len(body)} are no {dtype} of shape {shape}")
    return body[start:stop].view(kind).reshape(shape)


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], *, like: str | os.PathLike[str] | None = None
) -> None:
    """The arrays in the order of their names; the same arrays give the same bytes. The file is whole or not there.

    like: another file with arrays of these names, shapes and types, whose header and order this one gets, whoever wrote
    it: what was read from there and has not changed is that file again, byte for byte. Raises UserError where they
    differ.
    """
    header, order = _headed(tensors) if like is None else _as(tensors, like)
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())
    os.replace(part, path)


def _headed(tensors: Mapping[str, np.ndarray]) -> tuple[bytes, list[str]]:
    """A header, and the names in their order."""
    header: dict[str, Any] = {_METADATA: {"format": "pt"}}
    at = 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        header[name] = {**_told(tensors[name]), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    return text + b" " * (-len(text) % 8), sorted(tensors)


def _as(tensors: Mapping[str, np.ndarray], like: str | os.PathLike[str]) -> tuple[bytes, list[str]]:
    """Another file's header, and the names in its order."""
    header, entries = _opened(like)
    for name in sorted({*entries, *tensors}):
        theirs = {key: entries.get(name, {}).get(key) for key in ("dtype", "shape")}
        if name not in tensors or theirs != _told(tensors[name]):
            ours = _told(tensors[name]) if name in tensors else "not there"
            raise UserError(f"{name} is {ours} and in {like} {theirs if name in entries else 'not there'}")
    return header, sorted(entries, key=lambda name: entries[name]["data_offsets"])


def _told(array: np.ndarray) -> dict[str, Any]:
    names = {np.dtype(kind): name for name, kind in _TYPES.items()}
    return {"dtype": names[array.dtype], "shape": list(array.shape)}
