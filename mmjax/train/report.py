"""The end of a run: a table for people, ``report.json`` for scripts, ``report.html`` for a closer look."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mmjax.train import log, page
from mmjax.train.folder import write_json
from mmjax.train.page.wording import duration, goodput, interval, number, title

JSON, HTML = "report.json", "report.html"
# What the terminal shows of a head; everything is in the page and in the JSON.
_SHOWN = (
    "accuracy",
    "subset_accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "auroc",
    "average_precision",
    "calibration_error",
    "log_loss",
    "loss",
    "perplexity",
    "bits_per_byte",
    *(f"{way}{name}" for way in ("", "back_") for name in (*(f"recall_at_{n}" for n in (1, 5, 10)), "median_rank")),
    "reward",
    "preferred",
    "exact_match",
    "token_f1",
    "vqa_accuracy",
    "bleu",
    "rouge_l",
    "cider",
    "word_error_rate",
    "character_error_rate",
    "root_mean_squared_error",
    "mean_absolute_error",
    "r2",
    "error",
    "constant",
    "majority",
)
_CLASSES = 20  # more are a table for the page


def write(folder: Path, report: Mapping[str, Any], *, hardest: Sequence[Mapping[str, Any]] = (),
          records: Sequence[Mapping[str, Any]] | None = None) -> None:  # fmt: skip
    """``report.json`` and ``report.html``, each whole or not at all.

    report: ``{"workdir", "step", "seconds", "evaluations": {evaluator: {"count", "heads": {head: metrics}}}}`` and,
    where known, ``subsets``, ``schema``, ``parameters``, ``goodput``. hardest: examples as ``page.example.example``
    wants them. records: of ``metrics.jsonl`` (None: the folder's own). Raises ValueError for NaN or infinity.
    """
    records = log.read(folder) if records is None else records
    text = page.render(report, records=records, hardest=hardest)
    bare = [{name: value for name, value in case.items() if name != "signals"} for case in hardest]
    write_json(folder / JSON, {**report, "hardest": bare} if bare else dict(report))
    temporary = folder / f"{HTML}.part"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / HTML)


def show(report: Mapping[str, Any]) -> None:
    """The tables on standard error."""
    console = Console(stderr=True, highlight=False)
    for table in tables(report):
        console.print(table)


def tables(report: Mapping[str, Any]) -> list[RenderableType]:
    """For every evaluation and head: figures with intervals, and each class where there are few; then the subsets."""
    found: list[RenderableType] = [Text(f"\n{_summary(report)}\n")]
    if "goodput" in report:
        found.append(Text(f"{goodput(report['goodput'])}\n", style="dim"))
    for name, results in report.get("evaluations", {}).items():
        found += evaluation(name, results)
    for name, subsets in report.get("subsets", {}).items():
        heads = dict.fromkeys(head for results in subsets.values() for head in results)
        found += [_subsets(f"{name} · {head} by what is given", subsets, head) for head in heads]
    if report.get("workdir"):
        found.append(Text(f"report: {Path(report['workdir']) / HTML}\n", style="dim"))
    return found


def evaluation(name: str, results: Mapping[str, Any]) -> list[RenderableType]:
    """``{"count", "heads": {head: metrics}}`` of one data set, a table a head."""
    found: list[RenderableType] = []
    for head, metrics in results["heads"].items():
        parts = [_figures(f"{name} · {head}", metrics)]
        if 1 < len(metrics.get("per_class", {})) <= _CLASSES:
            parts.append(_classes(metrics["per_class"]))
        parts += [_figures(f"{name} · {head} · {group}", own) for group, own in metrics.get("per_group", {}).items()]
        found.append(Columns(parts, padding=(0, 3)))
    return found


def _summary(report: Mapping[str, Any]) -> str:
    parts = [f"{report['step']:,} steps", duration(report["seconds"])]
    if "parameters" in report:
        parts.append(f"{report['parameters']:,} parameters")
    return " · ".join(parts)


def _table(heading: str, *columns: str) -> Table:
    table = Table(title=Text(heading, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", style="bold" if i == 1 else None)
    return table


def _figures(heading: str, metrics: Mapping[str, Any]) -> Table:
    count = metrics.get("count", metrics.get("support"))
    rows = "row" if count == 1 else "rows"
    table = _table(f"{heading} ({count:,} {rows})", "", "value", "95 % interval")
    for name, figure in log.figures(metrics).items():
        if name in _SHOWN:
            label = title(name) + (f" ({figure['answer']})" if "answer" in figure else "")
            style = "dim" if name == "majority" else None
            table.add_row(Text(label), number(name, figure["value"]), interval(name, figure), style=style)
    return table


def _classes(classes: Mapping[str, Any]) -> Table:
    table = _table("each class", "", "F1", "precision", "recall", "rows")
    for name, found in classes.items():
        cells = [number(metric, found[metric]["value"]) for metric in ("f1", "precision", "recall")]
        table.add_row(Text(name), *cells, f"{found['support']:,}")
    return table


def _subsets(heading: str, subsets: Mapping[str, Any], head: str) -> Table:
    metric = next((log.headline(log.figures(found[head])) for found in subsets.values() if head in found), None)
    table = _table(heading, "", title(metric or ""), "95 % interval")
    for names, found in subsets.items():
        if metric and metric in found.get(head, {}):
            figure = found[head][metric]
            table.add_row(Text(names), number(metric, figure["value"]), interval(metric, figure))
    return table
