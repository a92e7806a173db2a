"""Record files read at random."""

import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data.records import cell, index
from mmjax.data.records.address import Folder
from mmjax.data.records.index import Plan
from mmjax.data.sources import shared

_RANDOM = "readahead_buffer_size:0"  # nothing is read ahead of a record that was asked for


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of packed rows without reading any of them.

    counts: rows of each shard. numbers: of each row in its manifest. lengths: of each modality in its own unit.
    """

    plan: Plan
    counts: tuple[int, ...]
    rejects: tuple[Mapping[str, Any], ...]
    numbers: np.ndarray
    lengths: Mapping[str, np.ndarray]


class Shards:
    """Rows by number, read when asked for: so each process reads its own alone. It may be sent to other processes.

    A shard from far away is copied once, whole, to ``~/.cache/mmjax`` (or under XDG_CACHE_HOME) when its first row is
    asked for.
    """

    def __init__(self, folder: Folder, facts: Facts):
        self._folder, self._counts = folder, facts.counts
        self._starts = np.cumsum((0, *facts.counts))
        self.digest = facts.plan.digest
        self._reset()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_readers", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def row(self, number: int) -> dict[str, Any]:
        """The cells of one row."""
        return self.rows([number])[0]

    def rows(self, numbers: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """The cells of these rows, in this order. UserError where a shard is damaged or lost."""
        numbers = np.asarray(numbers, np.int64)
        shards = np.searchsorted(self._starts, numbers, side="right") - 1
        found: list[Any] = [None] * len(numbers)
        order = np.argsort(shards, kind="stable")
        for shard, group in itertools.groupby(order.tolist(), key=shards.__getitem__):
            places = list(group)
            within = (numbers[places] - self._starts[shard]).tolist()
            try:
                for place, record in zip(places, self._reader(int(shard)).read(within), strict=True):
                    found[place] = cell.loaded(record)
            except (RuntimeError, ValueError, IndexError) as error:  # of the record library, and of cells
                raise self._damaged(int(shard), error) from None
        return found

    def _reader(self, shard: int) -> Any:
        with self._lock:
            if shard not in self._readers:
                self._readers[shard] = self._opened(shard)
            return self._readers[shard]

    def _opened(self, shard: int) -> Any:
        from array_record.python.array_record_module import ArrayRecordReader

        name = index.shard(shard)
        path = self._folder.local and self._folder.local / name
        if path is None:
            path = _kept(self.digest) / name
            if not path.is_file():
                self._folder.get(name, path)
        if not path.is_file():
            raise UserError(f"{self._folder.address} lacks {name}; pack the manifest again")
        reader = ArrayRecordReader(str(path), _RANDOM)
        if reader.num_records() != self._counts[shard]:
            raise self._damaged(shard, f"{reader.num_records():,} of {self._counts[shard]:,} rows")
        return reader

    def _damaged(self, shard: int, error: Any) -> UserError:
        reason = " ".join(str(error).split())[:120]
        return UserError(f"{self._folder.address}/{index.shard(shard)} is damaged ({reason}); pack the manifest anew")

    def _reset(self) -> None:
        self._readers: dict[int, Any] = {}
        self._lock = threading.Lock()


def opened(path: str) -> tuple[Folder, Facts]:
    """The folder of records at ``path``, here, under MMJAX_DATA or at an address; UserError where it is not whole."""
    folder = Folder(path)
    if folder.local is not None and not folder.local.is_absolute() and not folder.local.exists():
        folder = Folder(str(shared() / path)) if (shared() / path).exists() else folder
    if not folder.exists(index.INDEX):
        if folder.exists(index.PLAN):
            raise UserError(f"{path} was not packed to its end; run the same `mmjax pack` again, which goes on")
        raise UserError(f"{path} holds no records; make them with `mmjax pack MANIFEST {path}`")
    return folder, _facts(folder.address)


@functools.lru_cache(maxsize=8)
def _read(address: str, stamp: str) -> tuple[tuple[int, ...], tuple[Mapping[str, Any], ...], dict[str, np.ndarray]]:
    folder = Folder(address)
    try:
        record = json.loads(stamp)
        file = io.BytesIO(folder.data(record["rows"]))
        with np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        return tuple(record["counts"]), tuple(record["rejects"]), held
    except (ValueError, LookupError, TypeError, OSError, EOFError) as error:
        raise UserError(f"{address}/{index.INDEX} is damaged: {error}") from None


def _facts(address: str) -> Facts:
    folder = Folder(address)
    plan = index.read(folder, index.PLAN, Plan)
    counts, rejects, held = _read(address, folder.text(index.INDEX))
    lengths = {name.removeprefix("length/"): array for name, array in held.items() if name.startswith("length/")}
    return Facts(plan, counts, rejects, held["numbers"], lengths)


def _kept(digest: str) -> Path:
    """Where copies of shards from far away are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "mmjax" / hashlib.sha256(digest.encode()).hexdigest()[:24]
