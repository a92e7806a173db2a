"""Answers from a trained run, for rows that may lack anything."""

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import metrics
from mmjax.core import Factored, UserError
from mmjax.core.rows import alone
from mmjax.data import given, pipeline
from mmjax.data.examples import Examples, unlabelled
from mmjax.data.fields import Reply
from mmjax.data.schema import Schema
from mmjax.data.sources import Row, Source, read
from mmjax.metrics.transcription import collapsed
from mmjax.train.folder import Folder
from mmjax.train.prepare import parts

Record = dict[str, Any]


class Predictor:
    """A trained model with the schema of its data.

    Called with a manifest's path, with rows (mappings from column to cell) or with one example by its
    parts (``predictor(image="seven.png", table={"age": 41})``), it yields a record a row, in their order:

        {"row": 0, "id": ..., "heads": {head: {"value", "probability", "probabilities"}}, "missing": [modalities]}

    ``row`` counts from 0; ``id`` is the row's cell in a column of that name, else its first file, else its
    place. A class has as value its name, several labels a list of those that are more likely than not, a
    number itself in its own unit, what is heard its text, as likely as its frames' likeliest words, an answer to a
    prompt its words, at each place the likeliest (``mmjax.generate`` has other ways). A row that has nothing at all
    gets None for every value. Paths in a manifest are relative to it; elsewhere they are as given.
    """

    def __init__(
        self, model: Any, schema: Schema, weights: Any, *, targets: Mapping[str, str] | None = None, batch: int = 32,
        tell: Callable[[str], None] | None = None,
    ):  # fmt: skip
        """targets: by head, where its name is another than its target's. batch: rows that are computed at once.

        tell: called after the last row with a line on what was left out or cut, if anything was.
        """
        self.schema, self.batch, self._tell = schema, batch, tell
        self._targets = dict(targets or {})
        self._weights = weights
        self._inputs = unlabelled(schema).inputs
        self._streams = {name: getattr(head, "stream", "") for name, head in parts(model, "heads").items()}
        # Compiled twice at most: for one row, and for a batch, the last of which is padded with empty rows.
        said = alone if schema.packed else dict
        self._heads = jax.jit(lambda weights, inputs: said(_told(model.apply(weights, inputs, train=False).heads)))
        if any(isinstance(field, Reply) for field in schema.targets.values()):
            self._heads = jax.jit(lambda weights, inputs: self._replies(model, weights, inputs))

    @classmethod
    def load(
        cls, workdir: str | os.PathLike[str], *, batch: int = 32, allow: tuple[type, ...] = (),
        tell: Callable[[str], None] | None = None,
    ) -> "Predictor":  # fmt: skip
        """The predictor of the run in ``workdir``. Raises UserError where there is none.

        allow: classes outside mmjax that the run's experiment is made of.
        """
        folder = Folder(Path(workdir), allow)
        experiment, schema = folder.experiment(), folder.schema()
        answers = any(isinstance(field, Reply) for field in schema.targets.values())
        if hasattr(experiment.model, "continued") and not answers:
            raise UserError(f"{workdir} is a model that continues texts; use `mmjax generate`")
        return cls(experiment.model, schema, folder.weights(), targets=experiment.answers, batch=batch, tell=tell)

    def __call__(
        self,
        what: str | os.PathLike[str] | Iterable[Mapping[str, Any]] | None = None,
        /,
        *,
        on_bad_row: str = "stop",
        **parts: Any,
    ) -> Iterator[Record]:
        """Records of a manifest or of rows, one by one; or of the one example that ``parts`` make up.

        on_bad_row: "stop" raises UserError for a row that cannot be read; with "quarantine" its record
        has no heads, and the reason as ``error``.
        """
        if (what is None) == (not parts):
            raise UserError("predict wants either a manifest or rows, or the parts of one example")
        source = _one(given.row(self._inputs, parts)) if parts else _source(what)
        return self._records(source, Examples(source, unlabelled(self.schema), on_bad_row=on_bad_row))

    def _records(self, source: Source, examples: Examples) -> Iterator[Record]:
        """Answers, with complaints between them where the rows stand that could not be read."""
        rows = enumerate(source.rows)
        bad: dict[int, str] = {}
        for example, (heads, missing) in enumerate(self._answers(examples)):
            bad |= {reject["row"]: reject["reason"] for reject in examples.rejects[len(bad) :]}
            for i, row in rows:
                if row.number in bad:
                    yield _complaint(i, row, bad[row.number])
                else:
                    yield {"row": i, "id": examples.identity(example), "heads": heads, "missing": missing}
                if row.number == examples.row(example).number:
                    break
        bad |= {reject["row"]: reject["reason"] for reject in examples.rejects[len(bad) :]}
        for i, row in rows:
            yield _complaint(i, row, bad[row.number])
        if self._tell is not None:
            for note in examples.notes():
                self._tell(note)

    def _answers(self, examples: Examples) -> Iterator[tuple[Record, list[str]]]:
        """Heads and missing modalities of every example, in order."""
        size = self.batch if len(examples) > 1 else 1
        with contextlib.closing(pipeline.sweep(examples, batch=size)) as batches:
            for batch, numbers in batches:
                heads = jax.device_get(self._heads(self._weights, batch.inputs))
                fields = {head: self._field(head) for head in heads if self._field(head) is not None}
                for i in range(int((numbers >= 0).sum())):
                    missing = [name for name, signal in batch.inputs.items() if not signal.mask[i].any()]
                    silent = {name: self._silent(name, missing, batch.inputs) for name in fields}
                    for name in (name for name in fields if not silent[name]):
                        if not all(np.isfinite(leaf[i]).all() for leaf in jax.tree.leaves(heads[name])):
                            raise UserError(
                                f"head {name!r} gives NaN or infinity for {examples.where(int(numbers[i]))}; "
                                "the run has diverged, train it with a lower learning rate"
                            )
                    own = jax.tree.map(lambda leaf, i=i: leaf[i], heads)
                    yield {name: _value(fields[name], own[name], silent[name]) for name in fields}, missing

    def _replies(self, model: Any, weights: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Words and how sure they are together, by the head that answers prompts."""
        field, apply = self._field(model.head), functools.partial(model.apply, weights, train=False)
        own = {"stream": model.stream, "head": model.head, "tokens": field.prompt.reply, "end": field.tokenizer.end}
        return {model.head: metrics.replies(apply, inputs, **own)}

    def _silent(self, head: str, missing: list[str], inputs: Mapping[str, Any]) -> bool:
        """Whether a row has nothing that a head reads; a prompt that is the same for all rows is nothing of a row."""
        stream = self._streams.get(head, "")
        own = [name for name in inputs if getattr(self._inputs[name], "asked", True)]
        return stream in missing if stream else all(name in missing for name in own)

    def _field(self, head: str) -> Any:
        """What a head's target is; None for a head that answers to no target."""
        return self.schema.targets.get(self._targets.get(head, head))


def _told(heads: Mapping[str, Any]) -> dict[str, Any]:
    """Heads that tell of the row; those that foretell the words of its own text do not."""
    return {name: said for name, said in heads.items() if not isinstance(said, Factored)}


def _value(field: Any, output: Any, nothing: bool) -> Record:
    """What one head says about one row."""
    if nothing:
        return {"value": None, "probability": None, "probabilities": None}
    if isinstance(field, Reply):
        words, sure = output
        return {"value": field.tokenizer.decode(words), "probability": float(sure), "probabilities": None}
    if field.kind == "number":
        return {"value": float(field.restore(output)), "probability": None, "probabilities": None}
    if field.kind == "text":
        ids = np.argmax(output.values, axis=-1)
        likely = _softmax(np.asarray(output.values, np.float64)).max(axis=-1)[output.mask]
        value = field.tokenizer.decode(collapsed(ids, output.mask))
        return {"value": value, "probability": float(np.prod(likely)), "probabilities": None}
    output = np.asarray(output, np.float64)[: len(field.names)]
    likely = _softmax(output) if field.kind == "class" else 1 / (1 + np.exp(-output))
    probabilities = dict(zip(field.names, likely.tolist(), strict=True))
    if field.kind == "class":
        value = field.names[int(likely.argmax())]
        return {"value": value, "probability": probabilities[value], "probabilities": probabilities}
    chosen = [name for name, p in probabilities.items() if p >= 0.5]
    # Labels are taken to be independent, so the set is as likely as all of its decisions together.
    together = math.prod(max(p, 1 - p) for p in probabilities.values())
    return {"value": chosen, "probability": together, "probabilities": probabilities}


def _one(row: Row) -> Source:
    return Source(row.source, tuple(row.cells), [row])


def _source(what: Any) -> Source:
    if isinstance(what, str | os.PathLike):
        return read(what)
    rows = [Row(cells, "the rows", i) for i, cells in enumerate(what, start=1)]
    if not rows:
        raise UserError("there are no rows to predict")
    return Source("the rows", tuple(dict.fromkeys(column for row in rows for column in row.cells)), rows)


def _complaint(i: int, row: Row, reason: str) -> Record:
    name = row.cell("id")
    return {"row": i, "id": None if name is None else str(name), "heads": {}, "missing": [], "error": reason}


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
