"""A comparison as tables for people, on standard error."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mmjax.compare.folder import HTML
from mmjax.core import plain
from mmjax.show import number as short
from mmjax.train.page.wording import ABSENT, duration, number

_WIDE = 160  # characters
_SUBSETS = 7  # columns


def written(value: Any) -> str:
    """A value as one would write it in a recipe: what differs from its defaults."""
    defaults = {f.name: f.default for f in dataclasses.fields(value)}
    said = [f"{n}={getattr(value, n)!r}" for n in plain.fields(value) if getattr(value, n) != defaults[n]]
    return f"{type(value).__name__}({', '.join(said)})"


def points(figure: Mapping[str, Any] | None, *, spread: bool = True) -> str:
    """A difference of shares in points of a hundred, with its interval."""
    if figure is None or figure["value"] is None:
        return ABSENT
    told = f"{100 * figure['value']:+.1f}"
    return told + (f" ({100 * figure['low']:+.1f} to {100 * figure['high']:+.1f})" if spread else "")


def short_time(seconds: float | None) -> str:
    """Seconds of something that may be quick: ``8.2 s``, ``13 ms``, ``450 us``."""
    if seconds is None:
        return ABSENT
    if seconds >= 1 or seconds == 0:
        return duration(seconds)
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"


def show(found: Mapping[str, Any]) -> None:
    """All tables."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:  # a file has no width, and a cut table tells nothing
        console.width = _WIDE
    for table in tables(found):
        console.print(table)


def tables(found: Mapping[str, Any]) -> list[RenderableType]:
    """How good, at what cost, and from which subsets of the modalities."""
    parts: list[RenderableType] = [Text(f"\n{summary(found)}\n"), _quality(found), _cost(found), _subsets(found)]
    failed = {name: record["failed"] for name, record in found["models"].items() if "failed" in record}
    parts += [Text(f"{name} failed: {reason}", style="red") for name, reason in failed.items()]
    if found.get("workdir"):
        parts.append(Text(f"page: {Path(found['workdir']) / HTML}\n", style="dim"))
    return parts


def summary(found: Mapping[str, Any]) -> str:
    """What was compared, in a line."""
    seeds = len(found["seeds"])
    return (
        f"{found['head']} on {found['count']:,} rows of {found['evaluation']} · {len(found['classes'])} classes · "
        f"{seeds} seed{'s' * (seeds != 1)} of {found['steps']:,} steps"
    )


def measured(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The models that came to something, the best first."""
    return {name: record for name, record in found["models"].items() if "failed" not in record}


def _table(heading: str, *columns: str) -> Table:
    table = Table(title=Text(heading, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def _style(found: Mapping[str, Any], name: str) -> str | None:
    if name == found["reference"]:
        return "bold"
    return "dim" if found["models"][name]["kind"] == "baseline" else None


def _quality(found: Mapping[str, Any]) -> Table:
    heading = f"against {found['reference']}"
    table = _table("how good, in per cent with 95 % intervals", "", "accuracy", heading, "F1", "ECE")
    for name, record in measured(found).items():
        figures = {metric: record[metric] for metric in ("accuracy", "f1_macro", "calibration_error")}
        share = {metric: f"{100 * figure['value']:.1f}" for metric, figure in figures.items()}
        low, high = (100 * record["accuracy"][end] for end in ("low", "high"))
        table.add_row(
            Text(name),
            f"{share['accuracy']} ({low:.1f} to {high:.1f})",
            points((record["difference"] or {}).get("accuracy")),
            share["f1_macro"],
            share["calibration_error"],
            style=_style(found, name),
        )
    return table


def _cost(found: Mapping[str, Any]) -> Table:
    table = _table("at what cost", "", "parameters", "FLOPs an example", "a seed", "an example", "compiling")
    for name, record in measured(found).items():
        cells = [short_time(record[f"{part}_seconds"]) for part in ("train", "predict", "compile")]
        table.add_row(
            Text(name), f"{record['parameters']:,}", short(record["flops"]), *cells, style=_style(found, name)
        )
    return table


def _subsets(found: Mapping[str, Any]) -> Table:
    """All subsets, or, where they are too many for a terminal, each modality alone and all together."""
    few = len(found["subsets"]) <= _SUBSETS
    ends = [*found["modalities"], found["subsets"][-1]]
    shown = [subset for subset in found["subsets"] if few or subset in ends]
    heading = "accuracy by what is given" + ("" if few else f" (all {len(found['subsets'])} subsets are on the page)")
    table = _table(heading, "", *map(escape, shown))
    for name, record in measured(found).items():
        shares = [record["subsets"].get(subset) for subset in shown]
        if any(shares):
            cells = [ABSENT if s is None else number("accuracy", s["accuracy"]["value"]) for s in shares]
            table.add_row(Text(name), *cells, style=_style(found, name))
    return table


def markdown(comparisons: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy in per cent with 95 % intervals of every model in every comparison, as a table for a README.

    What needs no fusion comes first; then fusions, the best on average over those that they have been in first.
    The best of a column is bold.
    """
    tables = {name: measured(found) for name, found in comparisons.items()}
    names = list(dict.fromkeys(model for table in tables.values() for model in table))
    kinds = {model: table[model]["kind"] for table in tables.values() for model in table}
    rows = [name for kind in ("baseline", "experts") for name in names if kinds[name] == kind]
    rows.insert(1, _ALONE)
    rows += sorted((n for n in names if kinds[n] == "fusion"), key=lambda n: -_average(tables.values(), n))
    lines = [["", *(_scale(name, found) for name, found in comparisons.items())], ["---"] * (1 + len(tables))]
    for name in rows:
        lines.append([name, *(_share(table, name) for table in tables.values())])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_ALONE = "best modality alone"


def _scale(name: str, found: Mapping[str, Any]) -> str:
    """What a comparison is of, and how much it rests on."""
    seeds = len(found["seeds"])
    return f"`{name}`: {found['count']:,} rows, {seeds} seed{'s' * (seeds > 1)}, {found['steps']:,} steps"


def _average(tables: Iterable[Mapping[str, Any]], name: str) -> float:
    found = [table[name]["accuracy"]["value"] for table in tables if name in table]
    return sum(found) / len(found)


def _share(table: Mapping[str, Any], name: str) -> str:
    """A cell: value and interval, bold for the best of its column."""
    alone = next((model for model, record in table.items() if record["kind"] == "alone"), "")
    model = alone if name == _ALONE else name
    if model not in table:
        return ABSENT
    value, low, high = (100 * table[model]["accuracy"][part] for part in ("value", "low", "high"))
    best = value == max(100 * record["accuracy"]["value"] for record in table.values())
    told = f"**{value:.1f}**" if best else f"{value:.1f}"
    return f"{told} ({low:.1f} to {high:.1f})" + (f" {alone.removesuffix(' alone')}" if name == _ALONE else "")
