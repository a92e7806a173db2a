"""A person's own files: a manifest whose columns are paths, texts, numbers, categories or labels."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.data import schema as schemas
from mmjax.data import sources
from mmjax.data.datasets.fold import Fold
from mmjax.data.examples import Examples


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A CSV, TSV, JSONL or Parquet file; paths in it are relative to it and stay within its folder.

    ``path``      as given, or else under $MMJAX_DATA (default ``../shared/data``)
    ``label``     short for one target, its kind inferred
    ``inputs``    fields by modality; none: every other column is inferred (see ``mmjax.data.inference``)
    ``targets``   fields by target
    ``batch``, ``augment``, ``seed``   what training makes of the examples
    ``where``     only rows whose column has this cell, or one of these
    ``fold``      only the rows of one side of a split
    ``on_bad_row``   "stop", or "quarantine": left out, counted and listed
    ``cache_gb``  decoded examples are kept in memory up to this size
    """

    path: str
    label: str | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    targets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch: int = 32
    augment: tuple[Any, ...] = ()
    seed: int = 0
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fold: Fold | None = None
    on_bad_row: str = "stop"
    cache_gb: float = 4.0

    def source(self) -> sources.Source:
        source = sources.read(self.path, where=self.where)
        return self.fold.of(source) if self.fold else source

    def fit(self) -> schemas.Schema:
        """The schema that these rows, as training rows, teach."""
        return schemas.fit(
            self.source(),
            inputs=self.inputs,
            targets=self.targets,
            label=self.label,
            aside=(*self.where, *(self.fold.columns if self.fold else ())),
            on_bad_row=self.on_bad_row,
        )

    def open(self, schema: schemas.Schema) -> Examples:
        """These rows as ``schema`` reads them; any modality's column, and those of targets, may be absent."""
        return Examples(self.source(), schema, on_bad_row=self.on_bad_row, cache_gb=self.cache_gb)
