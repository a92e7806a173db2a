"""One example that a person gives by its parts."""

from collections.abc import Mapping
from typing import Any

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import Field
from mmjax.data.sources import BadRow, Row, nearest


def row(fields: Mapping[str, Field], parts: Mapping[str, Any]) -> Row:
    """The row that ``parts`` make up: by modality a cell, or cells by column. Paths are as given.

    Each is read once by itself, so that a complaint can name it. Raises UserError for a modality or column that there
    is not, and for what cannot be read.
    """
    cells: dict[str, Any] = {}
    for name, value in parts.items():
        if name not in fields:
            raise UserError(f"this run has no modality {name!r}{nearest(name, fields)}")
        columns = fields[name].columns
        given = value if isinstance(value, Mapping) else {columns[0]: value}
        for column in given:
            if column not in columns:
                raise UserError(f"{name} has no column {column!r}{nearest(column, columns)}")
        cells |= given
        try:
            fields[name].read(Row(given, name, 1))
        except BadRow as bad:
            raise UserError(f"{name}: {bad.reason}") from None
    return Row(cells, "the example", 1)


def signals(fields: Mapping[str, Field], rows: list[Row]) -> dict[str, Signal]:
    """A batch of these rows; what a row does not have is masked."""
    return {name: field.batch([field.read(one) for one in rows]) for name, field in fields.items()}
