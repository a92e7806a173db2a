"""What a data set is, learned from its training rows: the fields of every modality and target."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmjax.core import Batch, Signal, UserError
from mmjax.data import inference
from mmjax.data.fields.field import Field, named
from mmjax.data.fields.image import Image
from mmjax.data.fields.label import ordered
from mmjax.data.fields.packed import Packed, Several
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
            inputs={name: _blank(field, batch) for name, field in self.inputs.items()},
            targets={name: _blank(field, batch) for name, field in self.targets.items()},
        )

    @property
    def packed(self) -> bool:
        """Whether several examples share a row in training."""
        return any(isinstance(field, Packed) for field in self.inputs.values())

    def batch(self, examples: Sequence[Mapping[str, Mapping[str, Any]]], *, pad_to: int | None = None) -> Batch:
        """Examples ``{"inputs": {modality: array or None}, "targets": {...}}``, then absent ones up to ``pad_to``."""
        padding = [None] * max(0, (pad_to or 0) - len(examples))

        def signals(side: str, fields: Mapping[str, Field]) -> dict[str, Signal]:
            return {
                name: field.batch([example[side].get(name) for example in examples] + padding)
                for name, field in fields.items()
            }

        return Batch(signals("inputs", self.inputs), signals("targets", self.targets))

    def late(self, late: bool = True) -> "Schema":
        """This schema with pictures that a training step scales (``fields.Image.late``), or without."""
        inputs = {
            name: dataclasses.replace(field, late=late) if isinstance(field, Image) and field.mean else field
            for name, field in self.inputs.items()
        }
        return dataclasses.replace(self, inputs=inputs)

    def done(self, batch: Batch) -> Batch:
        """A batch without anything that was left for later."""
        inputs = {
            name: field.done(batch.inputs[name])
            for name, field in self.inputs.items()
            if isinstance(field, Image) and name in batch.inputs
        }
        return batch.replace(inputs={**batch.inputs, **inputs})

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


def _blank(field: Any, rows: int) -> Signal:
    return field.blank(rows) if isinstance(field, Packed | Several) else field.batch([None] * rows)


def merged(schemas: Mapping[str, Schema]) -> Schema:
    """What several data sets teach together, by the rules of ``datasets.Mixture``. UserError where they disagree."""
    inputs = _fields({name: schema.inputs for name, schema in schemas.items()}, "modality")
    targets = _fields({name: schema.targets for name, schema in schemas.items()}, "target")
    both = next((name for name in targets if name in inputs), None)
    if both is not None:
        raise UserError(f"datasets.Mixture: {both!r} is a target of one part and a modality of another; declare inputs")
    left_out = {f"{name}: {key}": why for name, schema in schemas.items() for key, why in schema.left_out.items()}
    return Schema(inputs, targets, left_out)


def _fields(parts: Mapping[str, Mapping[str, Field]], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first: dict[str, str] = {}
    for part, fields in parts.items():
        for name, field in fields.items():
            if name not in found:
                found[name], first[name] = field, part
                continue
            if field.kind != found[name].kind:
                raise UserError(
                    f"datasets.Mixture: {what} {name!r} is of kind {found[name].kind} in part {first[name]!r}, of kind "
                    f"{field.kind} in {part!r}; declare it in both"
                )
            found[name] = _united(found[name], field, f"{what} {name!r} of parts {first[name]!r} and {part!r}")
    return found


def _united(one: Any, other: Any, where: str) -> Any:
    """``one``, with all names and the greater length of both."""
    if getattr(one, "tokenizer", None) != getattr(other, "tokenizer", None):
        raise UserError(f"datasets.Mixture: {where} have different words; give both the same fitted tokenizer")
    for name in ("numbers", "categories", "channels"):
        if getattr(one, name, None) != getattr(other, name, None):
            raise UserError(f"datasets.Mixture: {where} have different {name}; declare the same in both")
    changes: dict[str, Any] = {}
    for name in ("length", "seconds", "frames"):
        if hasattr(one, name):
            changes[name] = max(getattr(one, name), getattr(other, name))
    if one.kind in ("class", "classes"):
        changes["names"] = ordered((*one.names, *other.names))
    if one.kind == "table":
        every = {name: {*one.vocabularies[name], *other.vocabularies[name]} for name in one.categories}
        changes["vocabularies"] = {name: tuple(sorted(words)) for name, words in every.items()}
    return dataclasses.replace(one, **changes)


def _require(source: Source, column: str) -> None:
    if column not in source.columns:
        raise UserError(f"{source.name} has no column {column!r}{nearest(column, source.columns)}")
