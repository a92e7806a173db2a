"""From the answers of all models to figures with intervals, JSON-ready."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.compare.expert import PRODUCT
from mmjax.compare.plan import Plan
from mmjax.compare.result import Result
from mmjax.metrics import Crossed
from mmjax.metrics.bootstrap import Measured, Weights

SHOWN = ("accuracy", "f1_macro", "calibration_error", "log_loss")
DIFFERENCES = ("accuracy", "f1_macro", "calibration_error", "log_loss")
COSTS = ("parameters", "flops", "train_seconds", "predict_seconds", "compile_seconds")


def model(
    plan: Plan, result: Result, *, kind: str, about: str, resamples: int
) -> tuple[dict[str, Any], Crossed | None]:
    """A model's record, and its figures for being compared; None where it failed."""
    record: dict[str, Any] = {"kind": kind, "about": about}
    record |= {name: result.facts.get(name) for name in COSTS}
    if result.failed:
        return record | {"failed": result.failed}, None
    measures = [plan.metric.measure(result.rows(s), ranked=False) for s in range(result.seeds)]
    found = Crossed.of(measures, rows=len(result.targets), resamples=resamples)
    subsets = {name: _accuracy(scores, result.targets, resamples) for name, scores in result.scores.items()}
    by_seed = {name: list(found.seeds[name]) for name in SHOWN}
    return record | found.figures(SHOWN) | {"seeds": by_seed, "subsets": subsets if kind != "baseline" else {}}, found


def against(
    models: Mapping[str, dict[str, Any]], found: Mapping[str, Crossed], reference: str
) -> dict[str, dict[str, Any]]:
    """The records, each with its paired difference to the reference; the best first, the failed last."""
    order = sorted(models, key=lambda name: -found[name].values["accuracy"] if name in found else 1)
    records = {}
    for name in order:
        other = found.get(reference)
        compared = name in found and other is not None and name != reference
        difference = found[name].minus(other, DIFFERENCES) if compared and other is not None else None
        records[name] = models[name] | {"difference": difference}
    return records


def majority(plan: Plan, result: Result, prior: np.ndarray) -> Result:
    """The answer that training gave most often, said of every row that ``result`` answers, as sure as it was often."""
    n = len(result.targets)
    scores = np.broadcast_to(prior.astype(np.float32), (1, n, len(prior)))
    facts = {"parameters": 0, "flops": 0, "train_seconds": 0.0, "predict_seconds": 0.0, "compile_seconds": 0.0}
    return Result({"+".join(plan.modalities): scores}, result.targets, result.index, facts)


def _accuracy(scores: np.ndarray, targets: np.ndarray, resamples: int) -> dict[str, Any]:
    """Accuracy alone, which takes a hundredth of the time of all figures."""

    def measure(right: np.ndarray) -> Any:
        return lambda weights: _share(weights, right)

    measures = [measure((each.argmax(axis=1) == targets).astype(np.float32)) for each in scores]
    return Crossed.of(measures, rows=len(targets), resamples=resamples).figures(["accuracy"])


def _share(weights: Weights, right: np.ndarray) -> Measured:
    return Measured({"accuracy": (weights @ right).astype(np.float64) / weights.sum(axis=1, dtype=np.float64)})


def best(models: Mapping[str, Mapping[str, Any]], found: Mapping[str, Crossed]) -> dict[str, Any] | None:
    """The most accurate fusion, and by how much it is above the best that needs none; None where all failed."""
    ranked = sorted(found, key=lambda name: -found[name].values["accuracy"])
    first = {kind: [name for name in ranked if models[name]["kind"] == kind] for kind in ("fusion", "alone")}
    if not first["fusion"]:
        return None
    name = first["fusion"][0]
    others = [*(other for other in (PRODUCT,) if other in found), *first["alone"][:1]]
    over = {other: found[name].minus(found[other], ["accuracy"])["accuracy"] for other in others}
    return {"name": name, "of": len(first["fusion"]), "over": over}
