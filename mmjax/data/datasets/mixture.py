"""Several data sets as one, in shares of one's choice."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.core import UserError
from mmjax.data import bucketed, shared
from mmjax.data import schema as schemas
from mmjax.data.datasets.bucketed import Bucketed
from mmjax.data.datasets.packed import Packed
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
    ``augment`` and ``seed`` of the parts do not count, those of the mixture do. Parts that are ``Packed``, or
    ``Bucketed``, all in the same way, are as the mixture of what is in them, packed or bucketed.
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
        around = self.around()
        return around.fit() if around else schemas.merged({name: part.fit() for name, part in self.parts.items()})

    def open(self, schema: schemas.Schema) -> Joined | shared.Shared | bucketed.Bucketed:
        """The rows of all parts as ``schema`` reads them, each from its own columns."""
        around = self.around()
        if around:
            return around.open(schema)
        return Joined({name: part.open(_own(schema, part)) for name, part in self.parts.items()}, self.weights, schema)

    def around(self) -> Packed | Bucketed | None:
        """The mixture of what the parts are around, packed or bucketed as they are; None where they are around nothing.

        UserError where they are not all so in the same way: rows of one batch have one length.
        """
        parts = {name: _around(part) for name, part in self.parts.items()}
        ways = {name: _way(part) for name, part in parts.items()}
        (first, way), *others = ways.items()
        for name, other in others:
            if other != way:
                raise UserError(
                    f"datasets.Mixture: parts {first!r} and {name!r} are not packed or bucketed alike; leave them "
                    "plain and wrap the mixture: datasets.Packed(datasets.Mixture(...), ...)"
                )
        if way is None:
            return None
        within = dataclasses.replace(self, parts={name: part.data for name, part in parts.items()})
        own = {"batch": self.batch, "augment": self.augment, "seed": self.seed}
        return dataclasses.replace(way, data=within, **own)


def _around(part: Any) -> Any:
    """The part; of a mixture of wrapped ones their wrapper."""
    return (part.around() or part) if isinstance(part, Mixture) else part


def _way(part: Any) -> Packed | Bucketed | None:
    """How a part is packed or bucketed, whatever is in it."""
    if not isinstance(part, Packed | Bucketed):
        return None
    return dataclasses.replace(part, data=None, batch=1, augment=(), seed=0)


def _own(schema: schemas.Schema, part: Any) -> schemas.Schema:
    """The schema with a part's own columns, and without modalities and targets that it was told not to have.

    A mixture within sees to its own parts, and a data set that declares no targets has those that it teaches.
    """
    declares = isinstance(part, Mixture) or hasattr(part, "targets") or hasattr(part, "label")
    told = part.fit() if isinstance(part, Records) or not declares else part  # records need not be read for it
    inputs, targets = getattr(told, "inputs", None) or {}, getattr(told, "targets", None) or {}
    names = schema.targets if isinstance(part, Mixture) else {*targets, getattr(told, "label", None)}
    return dataclasses.replace(
        schema,
        inputs={n: _column(field, n, inputs) for n, field in schema.inputs.items() if not inputs or n in inputs},
        targets={n: _column(field, n, targets) for n, field in schema.targets.items() if n in names},
    )


def _column(field: Any, name: str, declared: Mapping[str, Any]) -> Any:
    """The field over the column that a part declared for it; the one of its name where it declared none."""
    own = getattr(declared.get(name), "column", None)
    return dataclasses.replace(field, column=own or name) if hasattr(field, "column") else field
