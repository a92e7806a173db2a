"""A manifest: the file that names everything else. Its extension says what it is written in."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmjax.core import UserError
from mmjax.data.sources import columnar, delimited, lines
from mmjax.data.sources.place import find, nearest
from mmjax.data.sources.source import Source

_READERS: Mapping[str, Callable[[Path, str], Source]] = {
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".jsonl": lines.read,
    ".ndjson": lines.read,
    ".parquet": columnar.read,
}


def read(path: str | os.PathLike[str], *, where: Mapping[str, Any] | None = None) -> Source:
    """The rows of a CSV, TSV, JSONL or Parquet file, of which ``where`` keeps those with the given cells.

    A value of ``where`` is one cell or a tuple of cells, any of which will do. Raises UserError for a
    file that is missing, empty, of another kind, not UTF-8, without rows, or with a column named twice.
    """
    file = find(path)
    name = str(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UserError(f"{name} is no manifest: its name must end with {', '.join(_READERS)}")
    try:
        source = reader(file, name)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"{name} is not UTF-8 (byte 0x{byte:02x} in line {_line(file)}); save it as UTF-8") from None
    except PermissionError:
        raise UserError(f"{name} may not be read; mend its permissions") from None
    twice = sorted({column for column in source.columns if source.columns.count(column) > 1})
    if twice:
        raise UserError(f"{name} names column {twice[0]!r} twice; rename one")
    if not source.rows:
        raise UserError(f"{name} has no rows")
    return select(source, where) if where else source


def select(source: Source, where: Mapping[str, Any]) -> Source:
    """The rows whose cells are as ``where`` says; rows with a fault are kept, for they may be among them."""
    for column in where:
        if column not in source.columns:
            raise UserError(f"{source.name} has no column {column!r} for where{nearest(column, source.columns)}")
    wanted = {
        column: {spelled(item) for item in (value if isinstance(value, tuple | list) else (value,))}
        for column, value in where.items()
    }
    rows = [
        row
        for row in source.rows
        if row.fault or all(spelled(row.cell(column)) in values for column, values in wanted.items())
    ]
    if not rows:
        raise UserError(f"{source.name} has no rows where {', '.join(f'{c} is {v!r}' for c, v in where.items())}")
    return Source(source.name, source.columns, rows)


def spelled(cell: Any) -> str:
    """A cell as text, the same for CSV, JSON and Parquet: 5, 5.0 and "5" are "5"; true is "true"."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if hasattr(cell, "item") and getattr(cell, "ndim", 0) == 0:
        return spelled(cell.item())
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _line(file: Path) -> int:
    """The line of the first byte that is not UTF-8; the decoder counts within a buffer, so look again."""
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return 0
