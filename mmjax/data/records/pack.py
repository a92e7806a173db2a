"""A manifest to record files. What was killed goes on where it was."""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.core import UserError, plain
from mmjax.data.records import cell, index
from mmjax.data.records.address import Folder
from mmjax.data.records.index import Part, Plan
from mmjax.data.schema import Schema
from mmjax.data.sources import BadRow, Row, Rows, Source, fatal

FORMS = ("decoded", "files")
_SHARD = 64 << 20  # bytes; large enough to read in one go, small enough that little is lost when killed
_MOST = 1 << 16  # rows of a shard
_PROBES, _CHUNK = 16, 256  # rows weighed to choose a shard's size; rows at work at a time
_OPTIONS = {"decoded": "group_size:1,zstd:1", "files": "group_size:1,uncompressed"}
_LOCK, _ROWS = ".lock", "rows.npz"


def pack(
    data: Any,
    out: str,
    *,
    form: str = "decoded",
    rows: int = 0,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write all rows of a dataset to records in the folder or at the address ``out``.

    form: "decoded", as the schema reads them (pictures in uint8 at its size, sounds at its rate), or "files", each file
    as it is; either way every cell is decoded once, so that a bad one is found now. rows: in each shard; 0 means about
    64 MB. tell: called with the number of rows done and of all. Returns ``{"records", "rows", "shards", "rejects"}``.
    Raises UserError for a bad row unless the dataset says "quarantine", and where ``out`` holds something else.
    """
    if form not in FORMS:
        raise UserError(f"form is {form!r}; it can be {' or '.join(FORMS)}")
    if rows < 0:
        raise UserError(f"rows={rows} of each shard must be 1 or more")
    folder, source = Folder(out), data.source()
    stop = Rows((), data.on_bad_row).on_bad_row == "stop"
    with _held(folder):
        plan = _begun(folder, data, source, form, rows)
        for number in range(plan.shards):
            if not folder.exists(index.part(number)):
                _write(folder, plan, source, number, stop=stop)
            tell(min((number + 1) * plan.each, plan.rows), plan.rows)
        found = _finish(folder, plan)
    return {"records": out, "rows": sum(found["counts"]), "shards": plan.shards, "rejects": found["rejects"]}


def _begun(folder: Folder, data: Any, source: Source, form: str, rows: int) -> Plan:
    """The plan that stands in the folder, or a new one."""
    digest = _digest(data, source, form)
    if folder.exists(index.PLAN):
        plan = index.read(folder, index.PLAN, Plan)
        if plan.digest != digest or (rows and rows != plan.each):
            raise UserError(f"{folder.address} was begun with other rows or settings; choose another OUT")
        return plan
    if folder.local is not None and folder.local.is_dir():
        others = [path.name for path in folder.local.iterdir() if path.name not in (_LOCK, f"{index.PLAN}.part")]
        if others:
            raise UserError(f"{folder.address} is not empty and holds no records; choose another OUT")
    schema = data.fit()
    _check(schema, form)
    each = rows or _each(source, schema, form)
    plan = Plan(source.name, form, len(source.rows), each, digest, tuple(source.columns), schema)
    index.write(folder, index.PLAN, plan)
    return plan


def _digest(data: Any, source: Source, form: str) -> str:
    """Another one where cells, the fields that were declared, or the form have changed."""
    said = {name: plain.to_plain(getattr(data, name)) for name in ("label", "inputs", "targets")}
    digest = hashlib.sha256(json.dumps([said, form], sort_keys=True).encode())
    for row in source.rows:
        digest.update(repr([row.number, sorted(row.cells.items()), row.fault]).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:32]


def _check(schema: Schema, form: str) -> None:
    """Raises UserError where one file would have to be decoded in two ways."""
    columns = [field.columns[0] for field in schema.inputs.values() if hasattr(field, "decoded")]
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None and form == "decoded":
        raise UserError(f"column {twice!r} is read by two modalities; pack it with --form files")


def _each(source: Source, schema: Schema, form: str) -> int:
    """Rows of a shard of the usual size, by a few of them."""
    sizes = []
    for i in np.unique(np.linspace(0, len(source.rows) - 1, _PROBES).astype(int)):
        with contextlib.suppress(BadRow):  # told when its turn comes
            sizes.append(len(_encoded(source.rows[int(i)], schema, form)[0]))
    return int(np.clip(_SHARD / np.mean(sizes), 1, _MOST)) if sizes else _MOST


def _write(folder: Folder, plan: Plan, source: Source, number: int, *, stop: bool) -> None:
    """One shard, whole or not at all."""
    from array_record.python.array_record_module import ArrayRecordWriter

    numbers: list[int] = []
    rejects: list[dict[str, Any]] = []
    lengths: dict[str, list[int]] = {name: [] for name in plan.schema.inputs}
    with _workplace(folder) as place:
        path = place / f"{index.shard(number)}.part"
        writer = ArrayRecordWriter(str(path), _OPTIONS[plan.form])
        with contextlib.closing(writer):
            for row, found in _each_encoded(source, plan, number):
                if isinstance(found, BadRow):
                    if stop:
                        raise fatal(found)
                    rejects.append({"row": row.number, "file": row.source, "reason": found.reason})
                    continue
                record, sizes = found
                writer.write(record)
                numbers.append(row.number)
                for name, size in sizes.items():
                    lengths[name].append(size)
        folder.put(path, index.shard(number))
    part = Part(tuple(numbers), tuple(rejects), {name: tuple(sizes) for name, sizes in lengths.items()})
    index.write(folder, index.part(number), part)


def _each_encoded(source: Source, plan: Plan, number: int) -> Iterator[tuple[Row, Any]]:
    """Every row of a shard in order, with its record and lengths, or what is bad about it."""

    def encoded(row: Row) -> Any:
        try:
            return _encoded(row, plan.schema, plan.form)
        except BadRow as bad:
            return bad

    first, last = number * plan.each, min((number + 1) * plan.each, plan.rows)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(first, last, _CHUNK):
            rows = [source.rows[i] for i in range(start, min(start + _CHUNK, last))]
            yield from zip(rows, pool.map(encoded, rows), strict=True)


def _encoded(row: Row, schema: Schema, form: str) -> tuple[bytes, dict[str, int]]:
    """A row's record, and the length of each of its modalities."""
    if row.fault:
        raise row.bad(row.fault)
    cells, lengths = dict(row.cells), {}
    for name, field in schema.inputs.items():
        column = field.columns[0]
        read = row
        if hasattr(field, "decoded") and row.cell(column) is not None:
            keeps = form == "files" and field.kind != "sensor"  # a log has no bytes that any field would read
            cells[column] = _file(row, column) if keeps else _slim(field.decoded(row))  # pyright: ignore[reportAttributeAccessIssue]
            read = dataclasses.replace(row, cells={**row.cells, column: cells[column]}, folder=None)
        value = field.read(read)
        lengths[name] = 0 if value is None else field.units(value)
    for field in schema.targets.values():
        field.read(row)
    try:
        return cell.dumped(cells), lengths
    except (TypeError, ValueError, OverflowError) as error:
        raise row.bad(f"it cannot be kept ({error})") from None


def _file(row: Row, column: str) -> Any:
    found = row.cell(column)
    return Path(row.path(found)).read_bytes() if isinstance(found, str) else found


def _slim(found: Any) -> Any:
    if isinstance(found, tuple):
        return (cell.slim(found[0]), found[1])
    return cell.slim(found) if isinstance(found, np.ndarray) else found


def _finish(folder: Folder, plan: Plan) -> dict[str, Any]:
    """What opening the records needs to know, in two files instead of one a shard."""
    parts = [index.read(folder, index.part(number), Part) for number in range(plan.shards)]
    arrays: dict[str, np.ndarray] = {"numbers": np.concatenate([np.asarray(part.numbers, np.int64) for part in parts])}
    for name in plan.schema.inputs:
        arrays[f"length/{name}"] = np.concatenate([np.asarray(part.lengths[name], np.int32) for part in parts])
    if not len(arrays["numbers"]):
        raise UserError(f"{plan.source}: every row is bad; the first: {parts[0].rejects[0]['reason']}")
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)  # pyright: ignore[reportArgumentType]
    with _workplace(folder) as place:
        path = place / f"{_ROWS}.part"
        path.write_bytes(held.getvalue())
        folder.put(path, _ROWS)
    rejects = [dict(reject) for part in parts for reject in part.rejects]
    found = {"counts": [len(part.numbers) for part in parts], "rejects": rejects, "rows": _ROWS}
    folder.write(index.INDEX, json.dumps(found, ensure_ascii=False) + "\n")
    return found


@contextlib.contextmanager
def _workplace(folder: Folder) -> Iterator[Path]:
    """Where a file is written before it is put in its place: beside it, or here for an address far away."""
    if folder.local is not None:
        yield folder.local
        return
    with tempfile.TemporaryDirectory(prefix="mmjax-pack-") as path:
        yield Path(path)


@contextlib.contextmanager
def _held(folder: Folder) -> Iterator[None]:
    """Keep others out of a folder on this machine until this process is done or dead."""
    if folder.local is None:
        yield
        return
    try:
        folder.local.mkdir(parents=True, exist_ok=True)
        file = (folder.local / _LOCK).open("a")
    except OSError as error:
        raise UserError(f"{folder.address} cannot be written to: {error.strerror}; choose another OUT") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another pack is at work in {folder.address}; wait for it or choose another OUT") from None
        except OSError:
            pass  # a file system without locks, where nobody can be kept out
        yield
