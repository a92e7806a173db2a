"""The end of a run: what people read, and what scripts read."""

from typing import Any

import jax

from mmjax.core import trees
from mmjax.train import report as page
from mmjax.train.evaluate import Evaluation
from mmjax.train.folder import Folder
from mmjax.train.ledger import Ledger
from mmjax.train.prepare import Prepared

HARDEST = 12


def introduction(prepared: Prepared, start: int) -> list[str]:
    """What is about to be trained on what, in a few lines."""
    parameters = trees.count(prepared.shapes.params)
    mesh = " x ".join(f"{axis} {size}" for axis, size in prepared.mesh.shape.items() if size > 1) or "one device"
    lines = [f"{len(prepared.examples):,} examples, {parameters:,} parameters, {mesh}"]
    for name, kind, columns, facts in prepared.schema.describe():
        lines.append(f"  {name}: {kind}" + (f" from {columns}" if columns != name else "") + f", {facts}")
    opened = [prepared.examples, *(evaluation.examples for evaluation in prepared.evaluations.values())]
    for examples in opened:
        lines += [f"  {note}" for note in examples.notes()]
    lines += [f"  {note}" for note in prepared.notes]
    return [*lines, f"going on after step {start}"] if start else lines


def summarise(
    prepared: Prepared, folder: Folder | None, report: dict[str, Any], *, weights: Any, ledger: Ledger, quiet: bool
) -> dict[str, Any]:
    """Finish ``report`` with subsets, schema, parameters and where the time went; write it and print its tables."""
    subsets = {name: e.by_subset(weights) for name, e in prepared.evaluations.items() if e.subsets}
    report = report | {
        "subsets": subsets,
        "schema": prepared.schema.describe(),
        "parameters": trees.count(prepared.shapes.params),
        "goodput": ledger.facts(),
    }
    if jax.process_index() > 0:
        return report
    if folder is not None:
        shown = [case | {"evaluation": n} for n, e in prepared.evaluations.items() for case in hardest(e)]
        page.write(folder.path, report, hardest=shown)
    if not quiet:
        page.show(report)
    return report


def hardest(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The examples that the model found hardest: those of highest loss, as many of each head."""
    measures = {name: measure for name, measure in evaluation.measures.items() if hasattr(measure, "hardest")}
    cases = []
    for name, measure in measures.items():
        facts, count = evaluation.facts(measure), -(-HARDEST // len(measures))
        cases += measure.hardest(evaluation.rows[name], count=count, **facts)
    return [case | _seen(evaluation, case["index"]) for case in cases]


def _seen(evaluation: Evaluation, index: int) -> dict[str, Any]:
    given = evaluation.examples[index]["inputs"]
    row = evaluation.examples.row(index)
    signals = {
        name: {"kind": field.kind, "value": _value(field, row, given[name]), "rate": getattr(field, "rate", None)}
        for name, field in evaluation.schema.inputs.items()
        if given.get(name) is not None
    }
    return {"row": evaluation.examples.where(index), "signals": signals}


def _value(field: Any, row: Any, value: Any) -> Any:
    """What people look at: words and cells as they were written, everything else as it was read."""
    if field.kind == "text":
        return str(row.cell(field.columns[0]))
    if field.kind in ("table", "prompt"):
        return {column: row.cell(column) for column in field.columns}
    return value
