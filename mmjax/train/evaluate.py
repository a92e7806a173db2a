"""Evaluation: every example exactly once, on any number of devices, with intervals."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen

from mmjax import metrics
from mmjax.core import Batch, UserError
from mmjax.core.rows import alone
from mmjax.data import pipeline
from mmjax.train import place, sharding
from mmjax.train.activation import Placed
from mmjax.train.viewed import Fixed

_STANDARD = {"class": metrics.Classification, "classes": metrics.MultiLabel, "number": metrics.Regression}
_STANDARD |= {"words": metrics.Language, "text": metrics.Transcription, "ranks": metrics.Agreement}


def standard(
    schema: Any, answers: Mapping[str, str] | None = None, *, heads: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The usual metrics for each target's kind, by head, of the heads that a model has (None: they are not known).

    answers: targets by head, where an objective gives a head another name than its target's.
    """
    pairs = {head: target for head, target in (answers or {}).items() if target in schema.targets}
    for target in schema.targets:
        if target in heads if heads is not None else target not in pairs.values():
            pairs.setdefault(target, target)
    return {head: _STANDARD[schema.targets[target].kind](target, head) for head, target in pairs.items()}


def make_gather(
    model: linen.Module | Placed, measures: Mapping[str, Any], mesh: jax.sharding.Mesh, *, packed: bool = False,
    targets: Mapping[str, Any] | None = None, views: Fixed | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """``(weights, (batch, numbers), keep) -> rows by head``, compiled once; ``keep``: by modality, is it to be seen?

    packed: the model was made for rows of several examples; here each has one. targets: their fields, for measures
    that ask the model more than once (``said``). views: of the rows, by their numbers, before modalities are hidden.
    """

    fields = targets or {}

    def gather(weights: Any, given: tuple[Batch, jax.Array], keep: Mapping[str, jax.Array]) -> dict[str, Any]:
        batch, numbers = given
        batch = batch if views is None else views(weights, batch, numbers)
        inputs = {name: s.replace(mask=s.mask & keep.get(name, True)) for name, s in batch.inputs.items()}
        outputs: Any = model.apply(weights, inputs, train=False)
        outputs = outputs.replace(heads=alone(outputs.heads)) if packed else outputs
        asked = batch.replace(inputs=inputs)
        return {
            name: measure.said(functools.partial(model.apply, weights, train=False), asked, fields[measure.target])
            if hasattr(measure, "said")
            else measure(outputs, batch)
            for name, measure in measures.items()
        }

    return jax.jit(gather, out_shardings=sharding.replicated(mesh))


class Evaluation:
    """One dataset, ready to be measured again and again with one compilation.

    measures: metrics by head. ``rows`` of the last full measurement stay, for the report's
    hardest examples. reference: examples that measures which want some learn from. views: what is seen of all of them.
    """

    def __init__(
        self, model: linen.Module | Placed, examples: Any, measures: Mapping[str, Any], *, schema: Any, batch: int,
        mesh: jax.sharding.Mesh, subsets: bool = False, reference: Any = None,
        views: Fixed | None = None,
    ):  # fmt: skip
        if len(examples) == 0:
            raise UserError("there are no rows to evaluate")
        if batch < 1:
            raise UserError(f"batch={batch} of {examples.name} must be at least 1")
        self.examples, self.measures, self.schema, self.subsets = examples, dict(measures), schema, subsets
        self.rows: dict[str, Any] = {}
        self.mesh, self.views = mesh, views
        self._batch = place.padded(min(batch, len(examples)), mesh)
        self.gather = make_gather(model, measures, mesh, packed=schema.packed, targets=schema.targets, views=views)
        learning = {name: m.__call__ for name, m in self.measures.items() if getattr(m, "wants_reference", False)}
        if learning and reference is None:
            raise UserError(f"metric {min(learning)!r} learns from rows of its own; set the evaluator's reference")
        self._reference = None
        if learning:  # of whose rows nothing is computed: they are gathered alone
            own = {"schema": schema, "batch": batch, "mesh": mesh, "views": views}
            self._reference = Evaluation(model, reference, learning, **own)

    def __call__(self, weights: Any, *, intervals: bool = True) -> dict[str, Any]:
        """``{"count": n, "heads": {head: metrics}}``, JSON-ready."""
        everything = frozenset(self.schema.inputs)
        self.rows = self._collect(weights, everything)
        known = self._known(weights, everything)
        return {"count": len(self.examples), "heads": self._compute(self.rows, known, intervals)}

    def by_subset(self, weights: Any) -> dict[str, Any]:
        """The same for every subset of the modalities, named as ``audio+image``."""
        found = {}
        for names in powerset(sorted(self.schema.inputs)):
            rows = self._collect(weights, frozenset(names))
            found["+".join(names)] = self._compute(rows, self._known(weights, frozenset(names)), True)
        return found

    def batches(self) -> Generator[tuple[Batch, jax.Array], None, None]:
        """Every example once, on the devices, with their numbers ``b``; -1 for padding."""
        batches = pipeline.sweep(self.examples, batch=self._batch, shard=place.shard(self.mesh))
        with contextlib.closing(batches):
            for batch, numbers in batches:
                yield place.put((batch, numbers.astype(np.int32)), self.mesh)

    def keep(self, visible: Collection[str]) -> dict[str, jax.Array]:
        """What ``gather`` wants, so that only these modalities are seen."""
        keep = {name: np.asarray(name in visible) for name in self.schema.inputs}
        return jax.device_put(keep, sharding.replicated(self.mesh))

    def joined(self, pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The rows of all batches by head, as numpy."""
        return {name: metrics.gather([piece[name] for piece in pieces]) for name in self.measures}

    def _collect(self, weights: Any, visible: Collection[str]) -> dict[str, Any]:
        keep = self.keep(visible)
        with jax.set_mesh(self.mesh), contextlib.closing(self.batches()) as batches:
            rows: list[Any] = []
            for batch in batches:
                place.settle(self.mesh, rows[-1:])
                rows.append(self.gather(weights, batch, keep))
            return self.joined(jax.device_get(rows))

    def _known(self, weights: Any, visible: Collection[str]) -> dict[str, Any]:
        """The rows of reference, by head of those that want some."""
        return {} if self._reference is None else self._reference._collect(weights, visible)

    def _compute(self, rows: Mapping[str, Any], known: Mapping[str, Any], intervals: bool) -> dict[str, Any]:
        found = {}
        for name, measure in self.measures.items():
            facts = self.facts(measure) | ({"reference": known[name]} if name in known else {})
            found[name] = measure.compute(rows[name], resamples=1000 if intervals else 0, **facts)
        return found

    def facts(self, measure: Any) -> dict[str, Any]:
        """What a metric has to know of its target: names of classes, the scale of numbers, bytes of words."""
        if measure.target not in self.schema.targets:  # of no target, or of one that views make of a modality
            given = self.schema.inputs.get(getattr(measure, "stream", ""))
            return {"tokenizer": given.tokenizer} if hasattr(given, "tokenizer") else {}
        field = self.schema.targets[measure.target]
        if hasattr(measure, "said"):
            return {"field": field, "row": self.examples.row}
        if field.kind == "words":
            return {"sizes": field.tokenizer.sizes()}
        if field.kind == "text":
            return {"tokenizer": field.tokenizer}
        if field.kind == "number":
            return {"scale": (field.mean, field.std)}
        return {"names": field.names} if hasattr(field, "names") else {}


def powerset(names: list[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, the small ones first."""
    return [chosen for size in range(1, len(names) + 1) for chosen in itertools.combinations(names, size)]
