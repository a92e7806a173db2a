"""Rows that several examples share, so that little of a batch is padding."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.fields.packed import Packed as Beside
from mmjax.data.fields.packed import Several
from mmjax.data.shared import Shared
from mmjax.data.sources import nearest


@dataclasses.dataclass(frozen=True)
class Packed:
    """The examples of ``data``, as many in each row as find room: ``Packed(data, length={"text": 1024}, most=32)``.

    ``length``   of a row, for every modality, in its own unit: tokens of a text, samples of a sound, steps of a log,
                 frames of a video, patches of a picture (``fields.Patches``)
    ``most``     examples in a row; heads and pooling fusions want the same number as ``segments``
    ``align``    units at whose multiples an example begins, where its encoder makes one token of several
    ``batch``    rows of a batch, not examples; ``batch``, ``augment`` and ``seed`` of ``data`` itself do not count

    Examples beside each other never see each other: signals carry ``segments`` and ``positions``. An evaluator's
    data set stays as it is; there each example has a row of its own.
    """

    data: Any
    length: Mapping[str, int] = dataclasses.field(default_factory=dict)
    most: int = 16
    align: Mapping[str, int] = dataclasses.field(default_factory=dict)
    batch: int = 8
    augment: tuple[Any, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.most < 1:
            raise UserError(f"datasets.Packed: most={self.most} must be 1 or more")
        for name, align in self.align.items():
            if align < 1 or self.length.get(name, 0) % align:
                raise UserError(
                    f"datasets.Packed: align of {name!r} is {align}; it must be 1 or more and divide its length"
                )

    def fit(self) -> schemas.Schema:
        """The schema of ``data``, for rows that are shared."""
        schema = self.data.fit()
        for name in (*self.length, *self.align):
            if name not in schema.inputs:
                raise UserError(f"datasets.Packed: there is no modality {name!r}{nearest(name, schema.inputs)}")
        return dataclasses.replace(
            schema,
            inputs={name: self._beside(name, field) for name, field in schema.inputs.items()},
            targets={name: Several(field, self.most) for name, field in schema.targets.items()},
        )

    def open(self, schema: schemas.Schema) -> Shared:
        """The examples, packed."""
        return Shared(self.data.open(alone(schema)), schema, self.most)

    def _beside(self, name: str, field: Any) -> Beside:
        if not hasattr(field, "laid"):
            instead = "; use fields.Patches" if field.kind == "image" else ""
            raise UserError(f"datasets.Packed: {name!r}, of kind {field.kind}, cannot share a row{instead}")
        if name not in self.length:
            raise UserError(f"datasets.Packed: length lacks {name!r}; say how much of it a row holds")
        return Beside(field, self.length[name], self.align.get(name, 1))


def alone(schema: schemas.Schema) -> schemas.Schema:
    """The schema of examples that share no row."""
    return dataclasses.replace(
        schema,
        inputs={name: getattr(field, "field", field) for name, field in schema.inputs.items()},
        targets={name: getattr(field, "field", field) for name, field in schema.targets.items()},
    )
