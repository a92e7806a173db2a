"""Running text to learn what follows: files of it, as documents."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data import document
from mmjax.data.examples import Examples
from mmjax.data.fields import Next, Passage
from mmjax.data.schema import Schema
from mmjax.data.sources import Lazy, Source, find
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

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 0:
            raise UserError(f"datasets.Texts: length={self.length} must be 1 or more, stride={self.stride} 0 or more")
        if not 0 <= self.part[0] < self.part[1] <= 1:
            raise UserError(f"datasets.Texts: part={self.part} must be a share of each file such as (0.9, 1.0)")

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    def documents(self) -> list[str]:
        """The documents of these parts of the files, none of them empty."""
        found = []
        for path in self.paths:
            text = _read(path)
            text = text[round(self.part[0] * len(text)) : round(self.part[1] * len(text))]
            found += [piece for piece in (text.split(self.separator) if self.separator else [text]) if piece]
        if not found:
            raise UserError(f"{', '.join(self.paths)}: there is no text in part={self.part}")
        return found

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
        texts = self.documents()
        documents = [field.tokenizer.encode(text) for text in texts]
        if len(documents) > 1:
            documents = [np.append(ids, np.int32(field.tokenizer.end)) for ids in documents]
        digest = hashlib.sha256(b"".join(ids.tobytes() for ids in documents)).hexdigest()[:16]
        if field.packed:
            return self._packed(documents, field, digest)
        ids, starts = document.windows(documents, field.length, self.stride or field.length)
        if len(ids) < 2:
            raise UserError(f"{', '.join(self.paths)}: one token in part={self.part}, after which nothing follows")

        def cells(i: int) -> Mapping[str, Any]:
            own = ids[starts[i] : starts[i] + field.length + 1]
            return {field.columns[0]: np.stack([own, np.ones_like(own)], axis=1)}

        return Lazy("", len(starts), cells, digest=digest)

    def _packed(self, documents: Sequence[np.ndarray], field: Passage, digest: str) -> Lazy:
        # A row has one token more than the model reads: the last is only an answer.
        rows = document.packed([len(ids) for ids in documents], field.length + 1)

        def cells(i: int) -> Mapping[str, Any]:
            pieces = [documents[number][start:stop] for number, start, stop in rows[i]]
            numbers = np.repeat(np.arange(1, len(pieces) + 1), [len(piece) for piece in pieces])
            return {field.columns[0]: np.stack([np.concatenate(pieces), numbers.astype(np.int32)], axis=1)}

        return Lazy("", len(rows), cells, digest=digest)


@functools.lru_cache(maxsize=4)
def _read(path: str) -> str:
    file = find(path)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8") from None
