"""The end of a run: what people read, and what scripts read."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mmjax.train import report as page
from mmjax.train.evaluate import Evaluation
from mmjax.train.folder import Folder
from mmjax.train.prepare import Prepared

HARDEST = 12


def summarise(
    prepared: Prepared, folder: Folder | None, report: dict[str, Any], *, weights: Any, quiet: bool
) -> dict[str, Any]:
    """Finish ``report`` with subsets, schema and parameters; write it and print its tables."""
    subsets = {name: e.by_subset(weights) for name, e in prepared.evaluations.items() if e.subsets}
    report = report | {
        "subsets": subsets,
        "schema": prepared.schema.describe(),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(prepared.shapes.params)),
    }
    if jax.process_index() > 0:
        return report
    if folder is not None:
        shown = [case for e in prepared.evaluations.values() for case in hardest(e)][:HARDEST]
        page.write(folder.path, report, hardest=shown)
    if not quiet:
        page.show(report)
    return report


def hardest(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The examples that the model found hardest: highest loss of a class target first."""
    cases = []
    for name, measure in evaluation.measures.items():
        field = evaluation.schema.targets[measure.target]
        if field.kind == "class" and name in evaluation.rows:
            cases += _hardest(evaluation, evaluation.rows[name], field.names)
    return sorted(cases, key=lambda case: -case["loss"])[:HARDEST]


def _hardest(evaluation: Evaluation, rows: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    scores, targets = np.asarray(rows.scores, np.float64), np.asarray(rows.targets)
    logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    real = np.flatnonzero(np.asarray(rows.mask))
    loss = -logs[real, targets[real]]
    found = []
    for at in real[np.argsort(-loss, kind="stable")[:HARDEST]]:
        guess = int(np.argmax(logs[at]))
        found.append(
            {
                "row": evaluation.examples.where(int(at)),
                "target": names[int(targets[at])],
                "prediction": names[guess],
                "probability": float(np.exp(logs[at, guess])),
                "loss": float(-logs[at, targets[at]]),
                "signals": _signals(evaluation.examples[int(at)]["inputs"], evaluation.schema.inputs),
            }
        )
    return found


def _signals(values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"kind": fields[name].kind, "value": fields[name].show(value)}
        for name, value in values.items()
        if value is not None
    }
