"""Ids of very many documents, encoded once into a folder and read from there, however much more than memory they are.

    tokens.bin   the ids of all documents, one after the other (two bytes each where these are enough)
    ends.bin     where each document ends
    index.json   what was encoded, and its digest; written last, so that a folder without it is not finished

Files are mapped into memory: a row is read when it is asked for, and processes of one machine share what was read.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.core import UserError

_TOKENS, _ENDS, _INDEX, _LOCK = "tokens.bin", "ends.bin", "index.json", ".lock"


@dataclasses.dataclass(frozen=True)
class Store:
    """Mapped ids, where each document ends among them, and what tells them from others."""

    ids: np.ndarray
    ends: np.ndarray
    digest: str

    @property
    def lengths(self) -> np.ndarray:
        """How many ids each document has."""
        return np.diff(self.ends, prepend=0)


def opened(folder: str | os.PathLike[str], of: Mapping[str, Any], documents: Iterable[np.ndarray], size: int) -> Store:
    """What ``folder`` holds of the ``documents``, which are encoded into it where it is not there yet.

    of: all that the ids depend on. Whoever comes while another encodes waits. size: ids are below it. Raises UserError
    where the folder holds the ids of something else, or cannot be written.
    """
    folder = Path(folder)
    with _held(folder):
        if not (folder / _INDEX).is_file():
            _write(folder, of, documents, size)
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    if index["of"] != json.loads(json.dumps(dict(of))):
        raise UserError(f"{folder} holds tokens of other texts, or of another tokenizer; name another store")
    ids = np.memmap(folder / _TOKENS, index["dtype"], "r")
    ends = np.fromfile(folder / _ENDS, np.int64)
    if len(ids) != index["tokens"] or len(ends) != index["documents"]:
        raise UserError(f"{folder} is damaged; remove it, and it is made anew")
    return Store(ids, ends, index["digest"])


def held(documents: Sequence[np.ndarray]) -> Store:
    """The same in memory, with no folder."""
    ids = np.concatenate(documents)
    digest = hashlib.sha256(ids.astype(np.int32).tobytes()).hexdigest()
    return Store(ids, np.cumsum([len(own) for own in documents], dtype=np.int64), digest)


def _write(folder: Path, of: Mapping[str, Any], documents: Iterable[np.ndarray], size: int) -> None:
    dtype = np.dtype(np.uint16 if size <= 2**16 else np.int32)
    digest, tokens, count = hashlib.sha256(), 0, 0
    with (folder / _TOKENS).open("wb") as held, (folder / _ENDS).open("wb") as ends:
        for ids in documents:
            piece = np.asarray(ids).astype(dtype).tobytes()
            digest.update(piece)
            held.write(piece)
            tokens, count = tokens + len(ids), count + 1
            ends.write(np.int64(tokens).tobytes())
    if not tokens:
        raise UserError(f"there is nothing to keep in {folder}: no text has a token")
    index = {"of": dict(of), "dtype": dtype.name, "tokens": tokens, "documents": count, "digest": digest.hexdigest()}
    part = folder / f"{_INDEX}.part"
    part.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    os.replace(part, folder / _INDEX)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder, and keep others waiting while it is written. UserError where it is something else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = {_TOKENS, _ENDS, _INDEX, f"{_INDEX}.part", _LOCK}
        if {path.name for path in folder.iterdir()} - known:
            raise UserError(f"{folder} holds other files than tokens; name another store")
        file = (folder / _LOCK).open("a")
    except OSError as error:
        raise UserError(f"{folder} cannot hold tokens: {error.strerror}; name another store") from None
    with file:
        with contextlib.suppress(OSError):  # a file system without locks, where nobody can be kept waiting
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
