"""CSV and TSV: a header, then one row a record."""

import csv
from pathlib import Path

from mmjax.core import UserError
from mmjax.data.sources.row import Row
from mmjax.data.sources.source import Source

_LONGEST_CELL = 1 << 24  # characters; the csv module's own limit of 131,072 is less than a long report


def read(path: Path, name: str) -> Source:
    """The rows of a CSV or, by its extension, TSV file. Ragged records become rows with a fault."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            records = [record for record in csv.reader(file, delimiter=delimiter, strict=True) if record]
    except csv.Error as error:
        raise UserError(f"{name} is not well-formed {path.suffix[1:].upper()}: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not records:
        raise UserError(f"{name} has no header")
    header = [cell.strip() for cell in records[0]]
    folder = str(path.parent)
    rows = []
    for number, record in enumerate(records[1:], start=1):
        if len(record) == len(header):
            rows.append(Row(dict(zip(header, record, strict=True)), name, number, folder))
        else:
            fault = f"has {len(record)} cells, but the header names {len(header)} columns"
            rows.append(Row({}, name, number, folder, fault))
    return Source(name, tuple(header), rows)
