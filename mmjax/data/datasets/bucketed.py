"""Batches of examples of about one length, so that few are padded far and a step meets few shapes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mmjax.core import UserError
from mmjax.data import bucketed
from mmjax.data import schema as schemas
from mmjax.data.sources import nearest


@dataclasses.dataclass(frozen=True)
class Bucketed:
    """The examples of ``data``, every batch of one of several lengths: ``Bucketed(data, {"text": (32, 128, 512)})``.

    ``length`` has for each modality as many lengths as for the others, in its own unit and the shortest first; the
    modalities that it leaves out have one length. An example goes to the first bucket in which all of it has room;
    what is longer than the last is cut, as ever. A step is compiled once for each bucket. ``datasets.Packed`` wastes
    less, where the encoders take packed rows. ``batch``, ``augment`` and ``seed`` of ``data`` itself do not count.
    """

    data: Any
    length: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    batch: int = 32
    augment: tuple[Any, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {name: len(rooms) for name, rooms in self.length.items()}
        if not counts or len(set(counts.values())) > 1 or not all(counts.values()):
            raise UserError(f"datasets.Bucketed: length wants as many buckets of each modality, not {counts or 'none'}")
        for name, rooms in self.length.items():
            if min(rooms) < 1 or list(rooms) != sorted(rooms):
                raise UserError(f"datasets.Bucketed: length of {name!r} is {tuple(rooms)}; it must rise from 1 or more")

    def fit(self) -> schemas.Schema:
        """The schema of ``data``, as long as the last bucket."""
        schema = self.data.fit()
        for name in self.length:
            if name not in schema.inputs:
                raise UserError(f"datasets.Bucketed: there is no modality {name!r}{nearest(name, schema.inputs)}")
        longest = {name: bucketed.shortened(schema.inputs[name], rooms[-1]) for name, rooms in self.length.items()}
        return dataclasses.replace(schema, inputs={**schema.inputs, **longest})

    def open(self, schema: schemas.Schema) -> bucketed.Bucketed:
        """The examples, in buckets."""
        return bucketed.Bucketed(self.data.open(schema), schema, self.length, self.batch)
