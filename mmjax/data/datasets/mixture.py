"""Several data sets as one, in shares of one's choice."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.datasets.records import Records
from mmjax.data.joined import Joined
from mmjax.data.sources import nearest


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Batches of which each part has its share: ``Mixture({"said": a, "drawn": b}, weights={"said": 3, "drawn": 1})``.

    ``weights`` are for the rows of a batch; without any, each part has the share of its size. Each part goes through
    its own examples at its own pace, each of them once an epoch. A modality or target that only some parts have is
    absent in the others. Of one that several have, all must be of one kind; the first says how it is read (size,
    scale, tokenizer), label and category names are those of all parts, and lengths are the longest. ``batch``,
    ``augment`` and ``seed`` of the parts do not count, those of the mixture do.
    """

    parts: Mapping[str, Any]
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    batch: int = 32
    augment: tuple[Any, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError("datasets.Mixture has no parts; give it data sets by name")
        for name in self.weights:
            if name not in self.parts:
                raise UserError(f"datasets.Mixture: weights names {name!r}{nearest(name, self.parts)}")
        if self.weights and set(self.weights) != set(self.parts):
            lacks = next(name for name in self.parts if name not in self.weights)
            raise UserError(f"datasets.Mixture: part {lacks!r} has no weight; give one to each, or none at all")

    def fit(self) -> schemas.Schema:
        """What the parts teach together."""
        return schemas.merged({name: part.fit() for name, part in self.parts.items()})

    def open(self, schema: schemas.Schema) -> Joined:
        """The rows of all parts as ``schema`` reads them, each from its own columns."""
        opened = {name: part.open(_own(schema, part)) for name, part in self.parts.items()}
        return Joined(opened, self.weights, schema)


def _own(schema: schemas.Schema, part: Any) -> schemas.Schema:
    """The schema with a part's own columns, and without modalities and targets that it was told not to have."""
    told = part.fit() if isinstance(part, Records) else part  # records know their columns without being read
    inputs, targets = getattr(told, "inputs", None) or {}, getattr(told, "targets", None) or {}
    names = {*targets, getattr(told, "label", None)} if hasattr(told, "targets") else schema.targets
    return dataclasses.replace(
        schema,
        inputs={n: _column(field, n, inputs) for n, field in schema.inputs.items() if not inputs or n in inputs},
        targets={n: _column(field, n, targets) for n, field in schema.targets.items() if n in names},
    )


def _column(field: Any, name: str, declared: Mapping[str, Any]) -> Any:
    """The field over the column that a part declared for it; the one of its name where it declared none."""
    own = getattr(declared.get(name), "column", None)
    return dataclasses.replace(field, column=own or name) if hasattr(field, "column") else field
