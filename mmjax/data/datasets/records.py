"""Rows packed into record files by ``mmjax pack``."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.data import records
from mmjax.data import schema as schemas
from mmjax.data.examples import Examples
from mmjax.data.sources import Lazy, Source


@dataclasses.dataclass(frozen=True)
class Records:
    """A folder that ``mmjax pack`` wrote, on a disk or at an address such as gs://bucket/train.

    Its schema, label names included, is the one that was fitted when it was packed. Other ``inputs``, ``targets`` or
    another ``label`` are fitted anew, which reads all rows. Rows are read when a batch asks for them, so that each
    process reads its own alone; with ``cache_gb`` they are decoded and kept in memory up to this size.
    ``batch``, ``augment``, ``seed`` and ``on_bad_row`` are those of ``Manifest``.
    """

    path: str
    label: str | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    targets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch: int = 32
    augment: tuple[Any, ...] = ()
    seed: int = 0
    on_bad_row: str = "stop"
    cache_gb: float = 0.0

    def source(self) -> Source:
        folder, facts = records.opened(self.path)
        shards = records.Shards(folder, facts)
        rows = Lazy(self.path, len(shards), shards.row, shards.rows, shards.digest)
        return Source(self.path, facts.plan.columns, rows)

    def fit(self) -> schemas.Schema:
        """The schema that was packed with the rows, or that these declarations teach."""
        _, facts = records.opened(self.path)
        known = facts.plan.schema
        if not self.inputs and not self.targets and (self.label is None or self.label in known.targets):
            return known
        return schemas.fit(
            self.source(), inputs=self.inputs, targets=self.targets, label=self.label, on_bad_row=self.on_bad_row
        )

    def open(self, schema: schemas.Schema) -> Examples:
        """These rows as ``schema`` reads them."""
        examples = Examples(self.source(), schema, on_bad_row=self.on_bad_row, cache_gb=self.cache_gb)
        _, facts = records.opened(self.path)
        if len(examples) == len(facts.numbers):
            own = schema.late(False).inputs.items()
            same = [name for name, field in own if facts.plan.schema.inputs.get(name) == field]
            examples.known = {name: facts.lengths[name] for name in same}
        return examples
