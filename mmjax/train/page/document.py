"""``report.html``: one file that needs nothing else, without a script; everything out of the data is escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmjax.train import log
from mmjax.train.page import plot
from mmjax.train.page.example import example
from mmjax.train.page.frame import frame
from mmjax.train.page.markup import Markup, join, tag
from mmjax.train.page.wording import duration, goodput, interval, is_share, number, title

_MATRIX = 40  # more classes are shown by their confusions alone
_CONFUSIONS = 10


def render(
    report: Mapping[str, Any], *, records: Sequence[Mapping[str, Any]], hardest: Sequence[Mapping[str, Any]]
) -> str:
    """The page's text; see ``report.write`` for what goes in."""
    name = (report.get("workdir") or "training run").rstrip("/").rpartition("/")[2]
    body = join(
        tag(
            "header",
            tag("p", "mmjax · training report", class_="over"),
            tag("h1", name),
            _facts(report),
            _cards(report),
        ),
        _section("Learning curves", _curves(records)),
        [
            _section(f"{evaluator} · {head}", _head(metrics), class_="evaluation")
            for evaluator, evaluation in report.get("evaluations", {}).items()
            for head, metrics in evaluation["heads"].items()
        ],
        _section("By what is given", _subsets(report.get("subsets", {}))),
        _section("Hardest examples", tag("div", map(example, hardest), class_="examples") if hardest else None),
        _section("Where the time went", _time(report.get("goodput"))),
        _section("Data", _schema(report.get("schema", ()))),
    )
    return frame(name, body)


def _section(heading: str, content: str | None, **attributes: object) -> Markup | None:
    return tag("section", tag("h2", heading), content, **attributes) if content else None


def _facts(report: Mapping[str, Any]) -> Markup:
    facts = [f"{report['step']:,} steps", duration(report["seconds"])]
    if "parameters" in report:
        facts.append(f"{report['parameters']:,} parameters")
    if report.get("workdir"):
        facts.append(report["workdir"])
    return tag("p", " · ".join(facts), class_="facts")


def _cards(report: Mapping[str, Any]) -> Markup:
    """The one figure that says most, for every evaluation and head."""
    cards = []
    for evaluator, evaluation in report.get("evaluations", {}).items():
        for head, metrics in evaluation["heads"].items():
            name = log.headline(log.figures(metrics))
            if name is None:
                continue
            majority = metrics.get("majority", {}).get("value")
            baseline = f"always “{metrics['majority']['answer']}”: {number('majority', majority)}" if majority else None
            rows = f"{metrics['count']:,} rows"
            cards.append(
                tag(
                    "div",
                    tag("p", f"{evaluator} · {head}", class_="over"),
                    tag("p", number(name, metrics[name]["value"]), class_="big"),
                    tag("p", f"{title(name)}, {rows}"),
                    tag("p", interval(name, metrics[name]), class_="quiet"),
                    _bar(name, metrics[name], mark=majority if name == "accuracy" else None),
                    tag("p", baseline, class_="quiet") if name == "accuracy" else None,
                    class_="card",
                )
            )
    return tag("div", cards, class_="cards")


def _bar(name: str, figure: Mapping[str, Any], *, mark: float | None = None) -> Markup | None:
    """A share as a bar with its interval; mark: a value to compare with."""
    value = figure["value"]
    if value is None or not (is_share(name) or name in ("auroc", "average_precision")):
        return None
    parts = [tag("i", class_="fill", style=f"width:{100 * value:.2f}%")]
    if figure.get("low") is not None:
        span = f"left:{100 * figure['low']:.2f}%;width:{100 * (figure['high'] - figure['low']):.2f}%"
        parts.append(tag("i", class_="span", style=span))
    if mark is not None:
        parts.append(tag("i", class_="mark", style=f"left:{100 * mark:.2f}%"))
    return tag("div", parts, class_="bar")


def _curves(records: Sequence[Mapping[str, Any]]) -> Markup | None:
    steps = [record for record in records if "evaluation" not in record]
    figures = []
    names = [name for record in steps for name in record if name == "loss" or name.startswith("loss/")]
    losses = {name: [(r["step"], r[name]) for r in steps if name in r] for name in dict.fromkeys(names)}
    if len(losses) == 2:  # one objective: the same curve twice
        losses.pop(next(name for name in losses if name != "loss"))
    losses = {"all" if name == "loss" else name.removeprefix("loss/"): points for name, points in losses.items()}
    figures.append(_curve("loss in training", losses, zero=True))
    figures.append(_curve("evaluations", _evaluated(records)))
    for name in ("lr", "grad_norm"):
        points = {name: [(r["step"], r[name]) for r in steps if name in r]}
        figures.append(_curve(title(name), points, zero=True))
    return tag("div", figures, class_="curves") if any(figures) else None


def _evaluated(records: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """The headline of each evaluation and head over the steps."""
    series: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for head, metrics in record["metrics"].items() if "evaluation" in record else ():
            name = log.headline(metrics)
            if name is not None:
                label = f"{record['evaluation']} · {head} · {title(name)}"
                series.setdefault(label, []).append((record["step"], metrics[name]["value"]))
    return series


def _curve(heading: str, series: Mapping[str, Sequence[tuple[float, float]]], *, zero: bool = False) -> Markup | None:
    series = {name: points for name, points in series.items() if len(points) > 1}
    if not series:
        return None
    lines = [tuple(zip(*points, strict=True)) for points in series.values()]
    keys = [
        tag("span", tag("i", style=f"background:var(--c{i % plot.COLOURS + 1})"), name) for i, name in enumerate(series)
    ]
    legend = tag("div", keys, class_="legend") if len(series) > 1 or heading == "evaluations" else None
    drawing = Markup(plot.curves([(line[0], line[1]) for line in lines], zero=zero))
    return tag("figure", tag("figcaption", heading), drawing, legend)


def _head(metrics: Mapping[str, Any]) -> Markup:
    matrix = metrics.get("confusion")
    return join(
        tag("div", _figures(metrics), _confusion(matrix) if matrix else None, class_="pair"),
        _each("label" if "subset_accuracy" in metrics else "class", metrics.get("per_class", {})),
        _each("output", metrics.get("per_output", {})),
        _each("group", metrics.get("per_group", {})),
    )


def _figures(metrics: Mapping[str, Any]) -> Markup:
    rows, bars = [], {name: _bar(name, figure) for name, figure in log.figures(metrics).items()}
    barred = any(bars.values())
    for name, figure in log.figures(metrics).items():
        label = title(name) + (f" (“{figure['answer']}”)" if "answer" in figure else "")
        note = figure.get("reason") or figure.get("note")
        cells = [
            tag("th", label, tag("small", note) if note else None, scope="row"),
            tag("td", number(name, figure["value"]), class_="value"),
            tag("td", interval(name, figure), class_="quiet"),
            tag("td", bars[name], class_="wide") if barred else None,
        ]
        rows.append(tag("tr", cells))
    headings = [f"{metrics['count']:,} rows", "value", "95 % interval", *([""] if barred else [])]
    columns = tag("tr", [tag("th", text) for text in headings])
    return tag("div", tag("table", tag("thead", columns), tag("tbody", rows), class_="figures"), class_="scroll")


def _confusion(confusion: Mapping[str, Any]) -> Markup:
    """Answers down, predictions across, shaded by the share of the answer's rows."""
    labels, matrix = confusion["labels"], confusion["matrix"]
    shown = None
    if len(labels) <= _MATRIX:
        rows = []
        for i, label in enumerate(labels):
            total = max(1, sum(matrix[i]))
            cells = [_cell(count, count / total, right=i == j) for j, count in enumerate(matrix[i])]
            rows.append(tag("tr", tag("th", label, scope="row"), cells))
        across = tag("tr", tag("th"), [tag("th", tag("span", label), scope="col") for label in labels])
        shown = tag("div", tag("table", tag("thead", across), tag("tbody", rows), class_="confusion"), class_="scroll")
    caption = tag("figcaption", "Confusion: answers down, predictions across") if shown else None
    return tag("figure", caption, shown, _confused(labels, matrix))


def _cell(count: int, share: float, *, right: bool) -> Markup:
    colour = "var(--accent)" if right else "var(--wrong)"
    style = f"background:color-mix(in srgb, {colour} {100 * share**0.7:.0f}%, transparent)" if count else None
    class_ = "strong" if share > 0.5 else None if count else "none"
    return tag("td", f"{count:,}", style=style, class_=class_)


def _confused(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Markup | None:
    """Which classes are taken for which, the most frequent first."""
    pairs = [
        (count, sum(row), labels[i], labels[j])
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    if not pairs or len(labels) < 3:
        return None
    pairs = sorted(pairs, key=lambda pair: -pair[0])[:_CONFUSIONS]
    items = [
        tag("li", tag("b", answer), " taken for ", tag("b", said), f": {count:,} of {total:,}")
        for count, total, answer, said in pairs
    ]
    return tag(
        "details",
        tag("summary", "Most frequent confusions"),
        tag("ol", items),
        open="" if len(labels) > _MATRIX else None,
    )


def _each(kind: str, found: Mapping[str, Any]) -> Markup | None:
    """A table of figures by class, label or output, with bars."""
    if len(found) < 2:
        return None
    names = list(log.figures(next(iter(found.values()))))
    lead = "f1" if "f1" in names else names[0]
    names = [lead, *(name for name in names if name != lead)]
    rows = []
    for label, figures in found.items():
        cells = [tag("td", number(name, figures[name]["value"])) for name in names[1:]]
        support = f"{figures['support']:,}" if "support" in figures else None
        bar = tag("td", _bar(lead, figures[lead]), class_="wide")
        spread = tag("td", interval(lead, figures[lead]), class_="quiet")
        value = tag("td", number(lead, figures[lead]["value"]), class_="value")
        rows.append(
            tag("tr", tag("th", label, scope="row"), value, spread, bar, cells, tag("td", support) if support else None)
        )
    support = ["rows"] if "support" in next(iter(found.values())) else []
    columns = [kind, title(lead), "95 % interval", "", *map(title, names[1:]), *support]
    head = tag("thead", tag("tr", [tag("th", text) for text in columns]))
    table = tag("div", tag("table", head, tag("tbody", rows), class_="figures"), class_="scroll")
    return tag("details", tag("summary", f"Each {kind}"), table, open="" if len(found) <= _MATRIX else None)


def _subsets(subsets: Mapping[str, Any]) -> Markup | None:
    """What each subset of the modalities is worth alone."""
    tables = []
    for evaluator, results in subsets.items():
        for head in dict.fromkeys(head for found in results.values() for head in found):
            metric = next((log.headline(log.figures(found[head])) for found in results.values() if head in found), None)
            if metric is None:
                continue
            rows = []
            for names, found in results.items():
                figure = found.get(head, {}).get(metric)
                if figure is not None:
                    chips = [tag("span", name, class_="chip") for name in names.split("+")]
                    value = tag("td", number(metric, figure["value"]), class_="value")
                    spread = tag("td", interval(metric, figure), class_="quiet")
                    rows.append(
                        tag(
                            "tr",
                            tag("th", chips, scope="row"),
                            value,
                            spread,
                            tag("td", _bar(metric, figure), class_="wide"),
                        )
                    )
            columns = [tag("th", text) for text in (f"{evaluator} · {head}", title(metric), "95 % interval", "")]
            table = tag("table", tag("thead", tag("tr", columns)), tag("tbody", rows), class_="figures")
            tables.append(tag("div", table, class_="scroll"))
    return join(tables) if tables else None


def _time(found: Mapping[str, Any] | None) -> Markup | None:
    """Each account of the ledger as a bar, and what became of the time in steps."""
    if not found:
        return None
    whole = sum(found["seconds"].values()) or 1.0
    rows = []
    for account, seconds in found["seconds"].items():
        bar = tag("div", tag("i", class_="fill", style=f"width:{100 * seconds / whole:.2f}%"), class_="bar")
        cells = [tag("td", duration(seconds), class_="value"), tag("td", f"{100 * seconds / whole:.1f} %")]
        rows.append(tag("tr", tag("th", account, scope="row"), cells, tag("td", bar, class_="wide")))
    table = tag("table", tag("tbody", rows), class_="figures")
    starts = "1 start" if found["starts"] == 1 else f"{found['starts']} starts"
    return join(tag("p", f"{goodput(found)} · {starts}", class_="quiet"), tag("div", table, class_="scroll"))


def _schema(schema: Sequence[Sequence[str]]) -> Markup | None:
    """What the data was taken for."""
    if not schema:
        return None
    rows = [
        tag("tr", tag("th", str(row[0]), scope="row"), [tag("td", str(cell)) for cell in row[1:]]) for row in schema
    ]
    head = tag("thead", tag("tr", [tag("th", text) for text in ("name", "kind", "columns", "facts")]))
    return tag("div", tag("table", head, tag("tbody", rows), class_="words"), class_="scroll")
