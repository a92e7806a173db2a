"""The comparison itself: every model after the other, each kept as soon as it is finished."""

import os
import time
from pathlib import Path
from typing import Any

from mmjax.compare import expert, listing, opened, page, report, trial
from mmjax.compare.folder import HTML, JSON, Folder
from mmjax.compare.plan import Entry, Plan
from mmjax.compare.progress import Told
from mmjax.compare.result import Result
from mmjax.core import UserError
from mmjax.train.folder import write_json
from mmjax.train.signals import Interrupted, Wish

RESAMPLES = 1000


def run(
    plan: Plan, *, workdir: str | Path | None = None, together: bool | None = None, quiet: bool = False
) -> dict[str, Any]:
    """Train and measure everything that is not finished yet, and tell what came out; see ``mmjax.compare``."""
    begun = time.monotonic()
    folder = Folder(workdir)
    with folder.held(plan), Wish() as wish:
        results = _trials(plan, folder, wish, together=together, quiet=quiet)
        found = _found(plan, results)
        found = {"workdir": None if workdir is None else str(workdir), **found}
        found["seconds"] = round(time.monotonic() - begun, 2)
        if folder.path is not None:
            write_json(folder.path / JSON, found)
            _write(folder.path / HTML, page.render(found))
    if not quiet:
        listing.show(found)
    return found


def _trials(plan: Plan, folder: Folder, wish: Wish, *, together: bool | None, quiet: bool) -> dict[str, Result]:
    """Every model's result; those that are finished are read, all others are checked before the first is trained."""
    results = {entry.name: folder.load(entry.name) for entry in plan.entries}
    prepared = {entry.name: _prepared(entry) for entry in plan.entries if results[entry.name] is None}
    finished: dict[str, Result] = {}
    with Told(len(plan.entries), quiet=quiet) as told:
        if not quiet:
            for line in _introduction(plan):
                told.say(line)
        for entry in plan.entries:
            result = results[entry.name]
            if result is None:
                result = _trial(plan, entry, prepared.pop(entry.name), folder, wish, told, together)
            scores = next(iter(result.scores.values()), None)
            right = None if scores is None else float((scores.argmax(axis=2) == result.targets).mean())
            kept = results[entry.name] is not None
            told.end(entry.name, result.facts, accuracy=right, failed=result.failed, kept=kept)
            finished[entry.name] = result
    return finished


def _prepared(entry: Entry) -> Any:
    """The model, ready to be trained; or why one that nobody asked for by name does not do for these data."""
    try:
        return entry.prepared()
    except UserError as error:
        if entry.asked:
            raise
        return error


def _trial(
    plan: Plan, entry: Entry, prepared: Any, folder: Folder, wish: Wish, told: Told, together: bool | None
) -> Result:
    def tick(step: int) -> None:
        told.tick(step)
        if wish.signum:
            raise Interrupted(wish.signum, step, folder.path and str(folder.path), of=entry.name)

    if isinstance(prepared, UserError):
        return Result.failure(str(prepared))
    told.begin(entry.name, entry.experiment.run.steps * len(plan.seeds))
    result = trial.run(entry, prepared, plan.seeds, together=together, tick=tick)
    folder.save(entry.name, result)
    return result


def _found(plan: Plan, results: dict[str, Result]) -> dict[str, Any]:
    """All figures of all models, and of what can be put together from them."""
    kinds = {entry.name: entry.kind for entry in plan.entries}
    prior = expert.log_prior(opened.answers(plan.training.examples, plan.target), len(plan.classes))
    whole = [result for name, result in results.items() if kinds[name] != "calibration" and not result.failed]
    if not whole:
        raise UserError(f"every model failed; the first: {next(iter(results.values())).failed}")
    shown = {name: (kinds[name], _about(plan, name), r) for name, r in results.items() if kinds[name] != "calibration"}
    shown["majority"] = ("baseline", "the class that training has most of", report.majority(plan, whole[0], prior))
    for name, result in _experts(plan, results, prior).items():
        shown[name] = ("experts", expert.ABOUT[name], result)
    models, crossed = {}, {}
    for name, (kind, about, result) in shown.items():
        models[name], figures = report.model(plan, result, kind=kind, about=about, resamples=RESAMPLES)
        if figures is not None:
            crossed[name] = figures
    return {
        "evaluation": plan.evaluator,
        "head": plan.head,
        "count": len(whole[0].targets),
        "classes": list(plan.classes),
        "modalities": list(plan.modalities),
        "subsets": ["+".join(names) for names in plan.subsets],
        "seeds": list(plan.seeds),
        "steps": plan.experiment.run.steps,
        "reference": plan.reference,
        "best": report.best(models, crossed),
        "models": report.against(models, crossed, plan.reference),
    }


def _experts(plan: Plan, results: dict[str, Result], prior: Any) -> dict[str, Result]:
    """Nothing where an expert failed."""
    alone = {name: results[f"{name} alone"] for name in plan.modalities}
    calibrated = {name: results[f"{name} calibrated"] for name in plan.modalities if f"{name} calibrated" in results}
    if any(result.failed for result in (*alone.values(), *calibrated.values())):
        return {}
    whole = plan.training.examples
    there = opened.presence(whole.part(plan.calibration)) if calibrated else {}
    return expert.combine(
        alone,
        calibrated,
        prior=prior,
        here=opened.presence(plan.measured.examples),
        there=there,
        subsets=[plan.subsets[-1], *plan.subsets[:-1]],
    )


def _about(plan: Plan, name: str) -> str:
    """A model's fusion as one would write it in a recipe."""
    entry = next(entry for entry in plan.entries if entry.name == name)
    return listing.written(entry.experiment.model.fusion)


def _introduction(plan: Plan) -> list[str]:
    rows = f"{len(plan.training.examples):,} training rows, {len(plan.measured.examples):,} of {plan.evaluator!r}"
    lines = [f"{rows}, {len(plan.seeds)} seeds of {plan.experiment.run.steps:,} steps"]
    for name, kind, columns, facts in plan.schema.describe():
        lines.append(f"  {name}: {kind}" + (f" from {columns}" if columns != name else "") + f", {facts}")
    for examples in (plan.training.examples, plan.measured.examples):
        lines += [f"  {note}" for note in examples.notes()]
    return lines


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
