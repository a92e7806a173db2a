"""Parquet, by pyarrow."""

from pathlib import Path
from typing import Any

from mmjax.core import UserError
from mmjax.data.sources.row import Row
from mmjax.data.sources.source import Source


def read(path: Path, name: str) -> Source:
    """The rows of a Parquet file; nulls are empty cells, and a file stored in its cell is that file's bytes."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{name} is not a readable Parquet file ({' '.join(str(error).split())[:120]})") from None
    header = tuple(table.column_names)
    columns = [[_file(cell) for cell in column.to_pylist()] for column in table.columns]
    folder = str(path.parent)
    records = zip(*columns, strict=True)
    rows = [Row(dict(zip(header, record, strict=True)), name, i, folder) for i, record in enumerate(records, start=1)]
    return Source(name, header, rows)


def _file(cell: Any) -> Any:
    """Pictures and recordings are often stored as ``{"bytes": ..., "path": ...}``, either of which may be null."""
    if isinstance(cell, dict) and set(cell) == {"bytes", "path"}:
        return cell["path"] if cell["bytes"] is None else cell["bytes"]
    return cell
