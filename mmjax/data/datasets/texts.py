"""Running text to learn what follows: files of it, as documents."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from mmjax.core import UserError
from mmjax.data import document, store
from mmjax.data.examples import Examples
from mmjax.data.fields import Next, Passage
from mmjax.data.schema import Schema
from mmjax.data.sources import Lazy, Source, find
from mmjax.data.store import Store
from mmjax.data.tokenizers import BytePairs, Bytes, Characters

TEXT, NEXT = "text", "next"  # names of the modality and of the target


@dataclasses.dataclass(frozen=True)
class Texts:
    """UTF-8 files as rows of ``length`` tokens, with for each token the one that follows.

    path: a file, or several. separator: what stands between documents of a file; with none a file is one document. A
    document ends with the tokenizer's own end where it has one and there are several. part: which share of
    each file's characters, as (0.9, 1.0).

    Documents stand one after the other and a row may begin anywhere: at every ``stride`` of tokens (0: ``length``, so
    that each is predicted once). With ``packed`` documents are kept whole where they fit, several share a row, and none
    sees another.

    store: a folder where the ids are kept. Texts are then encoded once, in pieces, and read from there by this and
    every later run, so that they may be larger than memory (``data.store``); the tokenizer should be a published one,
    since one that learns reads all texts at once.
    """

    path: str | tuple[str, ...]
    tokenizer: Bytes | Characters | BytePairs = Bytes()
    length: int = 256
    batch: int = 32
    part: tuple[float, float] = (0.0, 1.0)
    separator: str = ""
    stride: int = 0
    packed: bool = False
    augment: tuple[Any, ...] = ()
    seed: int = 0
    store: str = ""

    label: ClassVar[str] = NEXT

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 0:
            raise UserError(f"datasets.Texts: length={self.length} must be 1 or more, stride={self.stride} 0 or more")
        if not 0 <= self.part[0] < self.part[1] <= 1:
            raise UserError(f"datasets.Texts: part={self.part} must be a share of each file such as (0.9, 1.0)")

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    def documents(self) -> Iterator[str]:
        """The documents of these parts of the files, none of them empty, each read when it is asked for."""
        files = [find(path) for path in self.paths]
        texts = itertools.chain.from_iterable(document.read(file, self.separator, self.part) for file in files)
        first = next(texts, None)
        if first is None:
            raise UserError(f"{', '.join(self.paths)}: there is no text in part={self.part}")
        return itertools.chain([first], texts)

    def fit(self) -> Schema:
        """The schema with the tokenizer that these texts teach."""
        tokenizer = self.tokenizer.fit(self.documents())
        passage = Passage(tokenizer, self.length, self.packed)
        return Schema(inputs={TEXT: passage}, targets={NEXT: Next(tokenizer, self.length)})

    def open(self, schema: Schema) -> Examples:
        """These texts, by the schema's tokenizer, in rows of the schema's length."""
        field = schema.inputs.get(TEXT)
        if not isinstance(field, Passage):
            raise UserError("datasets.Texts is for models that learn what follows in a text")
        rows = self._rows(field)
        name = f"{', '.join(self.paths)} {self.part[0]:g} to {self.part[1]:g}"
        return Examples(Source(name, field.columns, dataclasses.replace(rows, name=name)), schema, cache_gb=0)

    def _rows(self, field: Passage) -> Lazy:
        kept = self._kept(field.tokenizer)
        if field.packed:
            return self._packed(kept, field)
        ids, starts = kept.ids, document.windows(len(kept.ids), field.length, self.stride or field.length)
        if len(ids) < 2:
            raise UserError(f"{', '.join(self.paths)}: one token in part={self.part}, after which nothing follows")

        def cells(i: int) -> Mapping[str, Any]:
            own = ids[starts[i] : starts[i] + field.length + 1].astype(np.int32)
            return {field.columns[0]: np.stack([own, np.ones_like(own)], axis=1)}

        return Lazy("", len(starts), cells, digest=kept.digest[:16])

    def _packed(self, kept: Store, field: Passage) -> Lazy:
        # A row has one token more than the model reads: the last is only an answer.
        rows = document.packed(kept.lengths.tolist(), field.length + 1)
        begins = kept.ends - kept.lengths

        def cells(i: int) -> Mapping[str, Any]:
            pieces = [kept.ids[begins[number] + start : begins[number] + stop] for number, start, stop in rows[i]]
            numbers = np.repeat(np.arange(1, len(pieces) + 1), [len(piece) for piece in pieces])
            ids = np.concatenate(pieces).astype(np.int32)
            return {field.columns[0]: np.stack([ids, numbers.astype(np.int32)], axis=1)}

        return Lazy("", len(rows), cells, digest=kept.digest[:16])

    def _kept(self, tokenizer: Any) -> Store:
        """The ids of all documents: in the store, or, without one, in memory."""
        if not self.store:
            return store.held(list(self._encoded(tokenizer)))
        files = [(path, find(path).stat().st_size) for path in self.paths]
        own = {"files": files, "part": self.part, "separator": self.separator}
        learned = hashlib.sha256(repr(tokenizer).encode()).hexdigest()
        return store.opened(self.store, {**own, "tokenizer": learned}, self._encoded(tokenizer), tokenizer.size)

    def _encoded(self, tokenizer: Any) -> Iterator[np.ndarray]:
        """The ids of each document, with the end behind it where there are several."""
        texts = self.documents()
        first = list(itertools.islice(texts, 2))
        end = [tokenizer.end] if len(first) > 1 else []
        for text in itertools.chain(first, texts):
            yield np.concatenate([tokenizer.encode(text), np.array(end, np.int32)])
