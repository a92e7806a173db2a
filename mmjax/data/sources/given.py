"""Rows that somebody hands over in memory, as mappings."""

from collections.abc import Iterable, Mapping
from typing import Any

from mmjax.core import UserError
from mmjax.data.sources.place import nearest
from mmjax.data.sources.row import Row
from mmjax.data.sources.source import Source


def given(rows: Iterable[Mapping[str, Any]], *, columns: Mapping[str, tuple[str, ...]], name: str = "rows") -> Source:
    """A source of rows whose keys are columns or modalities; paths are as given, not relative to any manifest.

    ``columns`` tells which columns each modality reads. A modality of one column takes its cell under its
    own name too; one of several takes a mapping of them, and complains of a column that it does not read.
    """
    made = [Row(_cells(row, columns, name), name, i) for i, row in enumerate(rows, start=1)]
    if not made:
        raise UserError(f"{name}: there is no row")
    return Source(name, tuple(dict.fromkeys(column for row in made for column in row.cells)), made)


def _cells(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], name: str) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for key, value in row.items():
        reads = columns.get(key, (key,))
        parts = dict(value) if isinstance(value, Mapping) else {reads[0] if len(reads) == 1 else key: value}
        for column in parts:
            if key in columns and len(reads) > 1 and column not in reads:
                raise UserError(f"{name}: {key} has no column {column!r}{nearest(column, reads)}")
        cells |= parts
    return cells
