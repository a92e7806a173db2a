"""Bring your own manifest: an experiment of a size that suits it, without a line of code.

The module itself can be called: ``mmjax.fit("train.csv", label="finding")``.
"""

import math
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flax import linen

from mmjax import encoders, fusion, heads, objectives
from mmjax.core import UserError
from mmjax.data import datasets, inference, sources
from mmjax.data.fields import Class
from mmjax.data.fields.field import named
from mmjax.data.schema import Schema
from mmjax.data.sources import nearest
from mmjax.model import Multimodal
from mmjax.train import Evaluator, Experiment, Optim, Result, Run
from mmjax.train import train as trained

VAL = "val"  # the evaluation's name
HELD_OUT = 5  # one row of so many is measured on where there is no other file
_SMALL = 500  # training rows below which a network is half as wide
_READERS = 5_000  # training rows that teach the order of words
_TOKENS = 64  # about as many of a picture or a log are enough to begin with
_EPOCHS, _STEPS = 30, (200, 3_000)
_DROPOUT, _SMOOTHING = 0.1, 0.1


def fit(
    manifest: str,
    *,
    label: str,
    workdir: str | Path | None = None,
    val: str | None = None,
    by: str = "",
    without: Sequence[str] = (),
    on_bad_row: str = "stop",
    quiet: bool = False,
) -> Result:
    """Train what ``experiment`` builds, and measure it on rows that it was not trained on; see ``mmjax.train``."""
    built = experiment(manifest, label=label, val=val, by=by, without=without, on_bad_row=on_bad_row)
    return trained(built, workdir=workdir, quiet=quiet)


def experiment(
    manifest: str,
    *,
    label: str,
    val: str | None = None,
    by: str = "",
    without: Sequence[str] = (),
    on_bad_row: str = "stop",
) -> Experiment:
    """An experiment for the rows of ``manifest``: kinds of columns inferred, encoders by kind, sizes by their number.

    val: another manifest to measure on. Without one a fifth of the rows is held out, always the same ones: evenly
    over the classes, or such that rows with the same cell in column ``by`` (a patient, a speaker) stay together.
    without: columns that are not to be learned from, such as those that are known only with the answer.
    Every class of either part is known, so that one that training never saw is a miss and not an error.
    Raises UserError for what cannot be learned from.
    """
    target = _target(manifest, label, val)
    shared: dict[str, Any] = {"targets": {label: target}, "on_bad_row": on_bad_row}
    if without:
        shared["inputs"] = _inputs(manifest, {label, by, *without})
    evenly = label if isinstance(target, Class) and not by else ""
    folds = {
        held_out: None if val else datasets.Fold(HELD_OUT, held_out=held_out, evenly=evenly, by=by)
        for held_out in (False, True)
    }
    data = datasets.Manifest(manifest, fold=folds[False], **shared)
    rows = len(data.source().rows)
    schema = data.fit()
    batch = min(64, max(8, 2 ** int(math.log2(max(rows, 4) / 4))))
    steps = min(max(_EPOCHS * rows // batch, _STEPS[0]), _STEPS[1])
    head, objective = _answer(schema.targets[label], label)
    measured = datasets.Manifest(val or manifest, fold=folds[True], batch=256, **shared)
    return Experiment(
        model=model(schema, rows=rows, heads={label: head}),
        data=datasets.Manifest(manifest, fold=folds[False], batch=batch, **shared),
        objectives={label: objective},
        evaluators={VAL: Evaluator(measured, subsets=1 < len(schema.inputs) <= 4)},
        optim=Optim(lr=2e-3, warmup=steps // 20, average=0.98),
        run=Run(steps=steps),
        modality_dropout=0.2 if len(schema.inputs) > 1 else 0.0,
    )


def model(schema: Schema, *, rows: int, heads: Mapping[str, linen.Module]) -> Multimodal:
    """An encoder for each modality, sized for so many training rows, under multiplicative interactions.

    Of the fusions in the README's table no other is at, or within the interval of, the best on every data set: it finds
    what two modalities tell only together, and loses nothing where each tells something alone.
    """
    width = 32 if rows < _SMALL else 64
    parts = {name: encoder(field, width=width, rows=rows) for name, field in schema.inputs.items()}
    return Multimodal(encoders=parts, fusion=fusion.Multiplicative(width=width), heads=dict(heads))


def encoder(field: Any, *, width: int, rows: int) -> linen.Module:
    """The encoder for a fitted field."""
    size: dict[str, Any] = {"width": width, "depth": 1, "dropout": _DROPOUT}
    if field.kind == "image":
        halvings = _halvings(max(field.shape[:2]), round(math.sqrt(_TOKENS)))
        return encoders.Image(patch=2**halvings, convolutions=halvings, **size)
    if field.kind == "audio":
        long = field.shape[0] > 2 * field.rate  # seconds
        mels = 40 if field.rate <= 8_000 else 64
        return encoders.Audio(rate=field.rate, mels=mels, window=0.04, hop=0.02, convolutions=3 if long else 0, **size)
    if field.kind == "video":
        halvings = _halvings(max(field.shape[1:3]), round(math.sqrt(_TOKENS)))
        picture = encoders.Image(patch=2**halvings, convolutions=halvings, **size)
        return encoders.Frames(picture, **size)
    if field.kind == "text":
        depth = 0 if rows < _READERS else 1
        return encoders.Text(vocabulary=field.size, width=width, depth=depth, dropout=_DROPOUT)
    if field.kind == "sensor":
        halvings = _halvings(field.shape[0], _TOKENS // 2)
        return encoders.Sensor(patch=2**halvings, **size)
    if field.kind == "table":
        return encoders.Table(cardinalities=field.cardinalities, **size)
    raise UserError(f"there is no encoder for a modality of kind {field.kind!r}")


def _halvings(length: int, tokens: int) -> int:
    """How often a length is to be halved to come near to so many tokens."""
    return max(0, round(math.log2(max(length, 1) / tokens)))


def _target(manifest: str, label: str, val: str | None) -> Any:
    """The label's field, fitted on all rows that are there."""
    found = [sources.read(path) for path in (manifest, val) if path]
    for source in found:
        if label not in source.columns:
            raise UserError(f"{source.name} has no column {label!r}{nearest(label, source.columns)}")
    field = named(inference.target(found[0], label), label)
    rows = [row for source in found for row in source.rows if not row.fault]
    return field.fit(sources.Rows(rows, "quarantine")) if field.kind != "number" else field


def _inputs(manifest: str, taken: set[str]) -> dict[str, Any]:
    """Fields for all columns but those that are taken."""
    source = sources.read(manifest)
    for column in sorted(taken - {""}):
        if column not in source.columns:
            raise UserError(f"{source.name} has no column {column!r}{nearest(column, source.columns)}")
    return inference.inputs(source, taken)[0]


def _answer(field: Any, label: str) -> tuple[linen.Module, Any]:
    """The head and the objective for a target."""
    if field.kind == "class":
        head = heads.Classify(classes=len(field.names), dropout=_DROPOUT)
        return head, objectives.CrossEntropy(label, smoothing=_SMOOTHING)
    if field.kind == "classes":
        return heads.MultiLabel(labels=len(field.names), dropout=_DROPOUT), objectives.BinaryCrossEntropy(label)
    return heads.Regress(dropout=_DROPOUT), objectives.SquaredError(label)


class _Room(types.ModuleType):
    """``mmjax.fit`` is both the room and the verb, as ``mmjax.train`` is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        return fit(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
