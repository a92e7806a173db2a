"""Recordings strung together, as digits of a number that somebody reads out."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data import sources
from mmjax.data.examples import Examples
from mmjax.data.fields import Audio
from mmjax.data.fields.text import written
from mmjax.data.sources import Lazy, Row, Rows, Source, nearest

AUDIO, TEXT = "audio", "text"  # columns of the strings


@dataclasses.dataclass(frozen=True)
class Strung:
    """``rows`` strings of recordings out of a manifest, with silence between, and their labels as a text.

    path, where: the recordings, as of ``Manifest``; one that several rows name counts once. audio, label: its columns.
    by: a column of which each string has one cell alone, as a speaker; there it is a column, too. spelled: what is
    written for a label, where that is not the label itself. count: how many recordings a string has, at least and at
    most. pause: the seconds of silence before, between and after them, likewise. rate: of the strings, in Hz.

    A string is a function of ``origin`` and its number alone. Its columns are "audio" and "text".
    """

    path: str
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    targets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch: int = 32
    augment: tuple[Any, ...] = ()
    seed: int = 0
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    audio: str = "audio"
    label: str = "label"
    by: str = ""
    spelled: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rows: int = 1_000
    count: tuple[int, int] = (3, 7)
    pause: tuple[float, float] = (0.0, 0.2)
    rate: int = 8_000
    origin: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1 or self.origin < 0:
            raise UserError(f"datasets.Strung: rows={self.rows} must be 1 or more, origin={self.origin} 0 or more")
        for name, least in (("count", 1), ("pause", 0)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise UserError(
                    f"datasets.Strung: {name}={getattr(self, name)} must be {least} or more, the less first"
                )

    def source(self) -> Source:
        cells = self._cells()
        facts = (self.rows, self.count, self.pause, self.rate, self.origin, cells.texts, cells.groups)
        digest = hashlib.sha256(repr(facts).encode())
        for wave in cells.waves:
            digest.update(wave.tobytes())
        name = f"{self.path} strung together"
        columns = (AUDIO, TEXT, *filter(None, [self.by]))
        return Source(name, columns, Lazy(name, self.rows, cells, digest=digest.hexdigest()[:16]))

    def fit(self) -> schemas.Schema:
        """The schema that these strings, as training rows, teach."""
        inputs = self.inputs or {AUDIO: Audio(rate=self.rate)}
        return schemas.fit(self.source(), inputs=inputs, targets=self.targets)

    def open(self, schema: schemas.Schema) -> Examples:
        """These strings as ``schema`` reads them; each is put together when it is asked for."""
        return Examples(self.source(), schema, cache_gb=0)

    def _cells(self) -> "_Strings":
        source = sources.read(self.path, where=self.where)
        for column in (self.audio, self.label, *filter(None, [self.by])):
            if column not in source.columns:
                raise UserError(f"{source.name} has no column {column!r}{nearest(column, source.columns)}")
        recordings = list(Rows(source.rows).whole().distinct(self.audio).each(self._recording))
        if not recordings:
            raise UserError(f"{source.name} has no recording with a label")
        waves, texts, names = zip(*recordings, strict=True)
        groups = {name: [i for i, own in enumerate(names) if own == name] for name in sorted(set(names))}
        return _Strings(self.by, waves, texts, groups, self.count, self.pause, self.rate, self.origin)

    def _recording(self, row: Row) -> tuple[np.ndarray, str, str] | None:
        wave, label = Audio(self.audio, rate=self.rate).read(row), written(row, self.label)
        own = written(row, self.by) if self.by else ""
        if wave is None or label is None or own is None:
            return None
        return wave, self.spelled.get(label, label), own


@dataclasses.dataclass(frozen=True)
class _Strings:
    """The cells of a string; as a value, it can go to other processes."""

    by: str
    waves: Sequence[np.ndarray]
    texts: Sequence[str]
    groups: Mapping[str, Sequence[int]]
    count: tuple[int, int]
    pause: tuple[float, float]
    rate: int
    origin: int

    def __call__(self, i: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.origin, i))
        name = list(self.groups)[int(rng.integers(len(self.groups)))]
        own, many = self.groups[name], int(rng.integers(self.count[0], self.count[1] + 1))
        chosen = [own[int(k)] for k in rng.integers(len(own), size=many)]
        pauses = [np.zeros(int(s * self.rate), np.float32) for s in rng.uniform(*self.pause, size=many + 1)]
        pieces = [piece for k, pause in zip(chosen, pauses, strict=False) for piece in (pause, self.waves[k])]
        cells = {
            AUDIO: (np.concatenate([*pieces, pauses[-1]]), self.rate),
            TEXT: " ".join(self.texts[k] for k in chosen),
        }
        return cells | ({self.by: name} if self.by else {})
