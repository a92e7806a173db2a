"""Rows that are arrays already, in an npz file or in memory."""

import dataclasses
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.datasets.fold import Fold
from mmjax.data.examples import Examples
from mmjax.data.sources import Lazy, Source, find, select


class Held(str):
    """A path that is none: it carries arrays in memory, and in a run's record it is a word without them."""

    arrays: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Held":
        held = cls(_IN_MEMORY)
        held.arrays = {name: np.asarray(array) for name, array in arrays.items()}
        return held


_IN_MEMORY = "(arrays in memory)"


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Arrays by column, each with a row as its first axis: ``Arrays("data.npz", ...)`` or ``Arrays.of({...}, ...)``.

    Pictures are ``n h w`` or ``n h w c``, videos ``n t h w`` or ``n t h w c``, waves ``n t`` at their field's rate,
    sensors ``n t c``; numbers, texts and labels ``n``, several labels ``n k`` of 0 and 1. Inferred are uint8 pictures
    and videos ``n t h w c``, sensors of floats, and columns ``n``; declare the rest. Of a file that holds several
    splits, ``prefix`` names one: only the arrays whose names begin so are read, by the rest of their names. The
    other fields are those of ``Manifest``.
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
    prefix: str = ""

    @classmethod
    def of(cls, arrays: Mapping[str, Any], **fields: Any) -> "Arrays":
        """Arrays in memory. A run's record has only their name, so to go on with it give them again."""
        return cls(Held.of(arrays), **fields)

    def source(self) -> Source:
        name = str(self.path)
        arrays = self.path.arrays if isinstance(self.path, Held) else _loaded(name, self.prefix, self.cache_gb)
        arrays = _split(name, arrays, self.prefix) if self.prefix else arrays
        source = Source(name, tuple(arrays), _rows(name, arrays))
        source = select(source, self.where) if self.where else source
        return self.fold.of(source) if self.fold else source

    def fit(self) -> schemas.Schema:
        """The schema that these rows, as training rows, teach."""
        return schemas.fit(
            self.source(),
            inputs=self.inputs,
            targets=self.targets,
            label=self.label,
            aside=tuple(self.where),
            on_bad_row=self.on_bad_row,
        )

    def open(self, schema: schemas.Schema) -> Examples:
        """These rows as ``schema`` reads them."""
        return Examples(self.source(), schema, on_bad_row=self.on_bad_row, cache_gb=self.cache_gb)


def _rows(name: str, arrays: Mapping[str, np.ndarray]) -> Lazy:
    lengths = {column: len(array) if array.ndim else 0 for column, array in arrays.items()}
    if not lengths or not max(lengths.values()):
        raise UserError(f"{name} has no rows")
    if len(set(lengths.values())) > 1:
        raise UserError(f"{name}: the arrays differ in length ({', '.join(f'{k} {n}' for k, n in lengths.items())})")
    for column, array in arrays.items():
        if array.dtype.kind not in "buifU":
            raise UserError(f"{name}: array {column!r} holds {array.dtype}, not numbers or text")

    return Lazy(name, next(iter(lengths.values())), _Cells(arrays))


@dataclasses.dataclass(frozen=True)
class _Cells:
    """The cells of a row; as a value, it can go to other processes."""

    arrays: Mapping[str, np.ndarray]

    def __call__(self, i: int) -> dict[str, Any]:
        return {column: array[i].item() if array.ndim == 1 else array[i] for column, array in self.arrays.items()}


def _loaded(name: str, prefix: str, limit_gb: float) -> dict[str, np.ndarray]:
    """The arrays of an npz file. Its directory tells how large they will be, and nothing in it can run."""
    if name == _IN_MEMORY:
        raise UserError("these arrays were in memory when the run was made; give them again with Arrays.of")
    path = find(name)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.startswith(prefix)]
        size = sum(entry.file_size for entry in entries)
        if size > limit_gb * 1e9:
            raise UserError(f"{name} would take {size / 1e9:.1f} GB in memory; raise cache_gb if that is meant")
        with np.load(path, allow_pickle=False) as file:
            return {column: file[column] for column in file.files if column.startswith(prefix)}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, MemoryError) as error:
        raise UserError(f"{name} is not a readable npz file of numbers and text ({error})") from None


def _split(name: str, arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    found = {column.removeprefix(prefix): array for column, array in arrays.items() if column.startswith(prefix)}
    if not found:
        raise UserError(f"{name} has no array whose name begins with prefix={prefix!r}")
    return found
