"""What a data set is, learned from its training rows: the fields of every modality and target."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from mmjax.core import Batch, UserError
from mmjax.data import inference
from mmjax.data.fields.field import Field, named
from mmjax.data.sources import Lazy, Rows, Source, nearest


@dataclasses.dataclass(frozen=True)
class Schema:
    """Fitted fields by modality and by target; columns that no field reads, with the reason. Plain data."""

    inputs: Mapping[str, Field]
    targets: Mapping[str, Field]
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def example(self, batch: int) -> Batch:
        """A batch of absent examples: the shapes and types that these fields give."""
        return Batch(
            inputs={name: field.batch([None] * batch) for name, field in self.inputs.items()},
            targets={name: field.batch([None] * batch) for name, field in self.targets.items()},
        )

    def only(self, modalities: Collection[str], *, reason: str) -> "Schema":
        """This schema with these modalities alone; the others are left out, for the reason given."""
        kept = {name: field for name, field in self.inputs.items() if name in modalities}
        gone = {name: reason for name in self.inputs if name not in kept}
        return dataclasses.replace(self, inputs=kept, left_out={**self.left_out, **gone})

    def describe(self) -> list[tuple[str, str, str, str]]:
        """(name, kind, columns, facts) for every modality, target and column left out, for people."""
        rows = [
            (name, field.kind, ", ".join(field.columns), field.describe())
            for fields in (self.inputs, self.targets)
            for name, field in fields.items()
        ]
        return rows + [(column, "left out", column, reason) for column, reason in self.left_out.items()]


def fit(
    source: Source,
    *,
    inputs: Mapping[str, Any],
    targets: Mapping[str, Any],
    label: str | None = None,
    aside: tuple[str, ...] = (),
    on_bad_row: str = "stop",
) -> Schema:
    """The schema of ``source``: declared fields fitted, all others inferred.

    ``label`` is short for one target whose kind is inferred. With no ``inputs`` declared, every column but the
    targets' and those ``aside`` is inferred. Raises UserError for a column that is not there or that cannot
    be learned from.
    """
    rows = Rows(source.rows, on_bad_row)
    if not isinstance(source.rows, Lazy):  # those are made, not split into cells
        rows = rows.whole()
    targets = {name: named(field, name) for name, field in targets.items()}
    if label is not None and label not in targets:
        _require(source, label)
        targets[label] = inference.target(source, label)
    left_out: dict[str, str] = {}
    if inputs:
        inputs = {name: named(field, name) for name, field in inputs.items()}
    else:
        taken = {column for field in targets.values() for column in field.columns} | set(aside)
        inputs, left_out = inference.inputs(source, taken)
    for field in (*inputs.values(), *targets.values()):
        for column in field.columns:
            _require(source, column)
    return Schema(
        inputs={name: field.fit(rows) for name, field in inputs.items()},
        targets={name: field.fit(rows) for name, field in targets.items()},
        left_out=left_out,
    )


def _require(source: Source, column: str) -> None:
    if column not in source.columns:
        raise UserError(f"{source.name} has no column {column!r}{nearest(column, source.columns)}")
