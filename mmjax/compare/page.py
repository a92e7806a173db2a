"""``compare.html``: the comparison as a person wants to look at it, in one file that needs nothing else."""

from collections.abc import Callable, Mapping
from typing import Any

from mmjax.compare import plot
from mmjax.compare.listing import measured, points, short_time, summary
from mmjax.compare.sheet import SHEET
from mmjax.show import number as short
from mmjax.train.page.frame import frame
from mmjax.train.page.markup import Markup, join, tag
from mmjax.train.page.wording import ABSENT, duration, interval, number

_KINDS = {
    "fusion": "fusion",
    "experts": "experts trained alone, put together",
    "alone": "one modality",
    "baseline": "baseline",
}
_COSTS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters", short),
    "flops": ("FLOPs an example", short),
    "train_seconds": ("training a seed", short_time),
    "predict_seconds": ("predicting an example", short_time),
}


def render(found: Mapping[str, Any]) -> str:
    """The page's text; found: as ``mmjax.compare`` gives it."""
    name = (found.get("workdir") or "comparison").rstrip("/").rpartition("/")[2]
    header = tag(
        "header",
        tag("p", "mmjax · comparison", class_="over"),
        tag("h1", name),
        tag("p", f"{summary(found)} · {duration(found['seconds'])}", class_="facts"),
        _verdict(found),
        _cards(found),
    )
    sections = {
        "Accuracy": _accuracy(found),
        f"Against {found['reference']}": _differences(found),
        "What it costs": _costs(found),
        "By what is given": _heat(found),
        "All figures": _figures(found),
        "How to read it": _method(found),
    }
    body = [tag("section", tag("h2", heading), content) for heading, content in sections.items() if content]
    return frame(name, join(header, body), sheet=SHEET)


def _verdict(found: Mapping[str, Any]) -> Markup | None:
    """The one sentence that the figures allow."""
    best = found["best"]
    if best is None:
        return None
    parts: list[Any] = ["Of ", str(best["of"]), " fusions ", tag("b", best["name"]), " is most accurate: "]
    told = []
    for other, figure in best["over"].items():
        sure = "" if figure["low"] > 0 else ", which may be chance"
        told.append(f"{points(figure)} points over {other}{sure}")
    parts.append("; ".join(told) or "there is nothing to hold it against")
    parts.append(". Being the best of several on these very rows flatters it.")
    return tag("p", parts, class_="verdict")


def _cards(found: Mapping[str, Any]) -> Markup:
    models = measured(found)
    firsts = {kind: next((n for n, r in models.items() if r["kind"] == kind), None) for kind in _KINDS}
    heads = {"fusion": "best fusion", "experts": "best of experts", "alone": "best alone", "baseline": "majority"}
    cards = []
    for kind, name in firsts.items():
        if name is not None:
            accuracy = models[name]["accuracy"]
            cards.append(
                tag(
                    "div",
                    tag("p", f"{heads[kind]} · {name}" if name != heads[kind] else name, class_="over"),
                    tag("p", number("accuracy", accuracy["value"]), class_="big"),
                    tag("p", interval("accuracy", accuracy), class_="quiet"),
                    class_="card",
                )
            )
    return tag("div", cards, class_="cards")


def _label(number_: int, name: str, found: Mapping[str, Any]) -> Markup:
    mark = tag("span", "reference", class_="chip") if name == found["reference"] else None
    return join(tag("small", str(number_)), name, " ", mark)


def _limits(low: float, high: float) -> tuple[float, float]:
    """A little more than the range, at round numbers."""
    steps = plot.ticks(low, high)
    step = steps[1] - steps[0] if len(steps) > 1 else 1.0
    return step * (low // step), step * -(-high // step)


def _accuracy(found: Mapping[str, Any]) -> Markup:
    """Every model on one scale of per cent, the best first."""
    models, lines = measured(found), []
    for i, (name, record) in enumerate(models.items(), start=1):
        value, low, high = (100 * record["accuracy"][part] for part in ("value", "low", "high"))
        told = join(f"{value:.1f} % ", tag("span", f"{low:.1f} to {high:.1f}"))
        seeds = [100 * share for share in record["seeds"]["accuracy"]] if len(record["seeds"]["accuracy"]) > 1 else []
        strong = name == found["reference"]
        lines.append(plot.Line(_label(i, name, found), told, record["kind"], value, low, high, seeds, strong))
    ends = [(line.low, line.high) for line in lines]
    limits = _limits(min(low for low, _ in ends), min(100.0, max(high for _, high in ends)))
    marks = {"majority": 100 * models["majority"]["accuracy"]["value"]} if "majority" in models else {}
    kinds = {kind: name for kind, name in _KINDS.items() if any(r["kind"] == kind for r in models.values())}
    rings = " Small rings are single seeds." if len(found["seeds"]) > 1 else ""
    note = f"The point is the mean over the seeds, the bar its 95 % interval.{rings}"
    return join(
        plot.intervals(lines, unit=" %", marks=marks, limits=limits),
        plot.legend(kinds),
        tag("p", note, class_="quiet note"),
    )


def _differences(found: Mapping[str, Any]) -> Markup | None:
    """Paired differences in accuracy to the reference, in points."""
    lines = []
    for i, (name, record) in enumerate(measured(found).items(), start=1):
        figure = (record["difference"] or {}).get("accuracy")
        if figure is not None and record["kind"] != "baseline":
            value, low, high = (100 * figure[part] for part in ("value", "low", "high"))
            told = join(f"{value:+.1f} ", tag("span", f"{low:+.1f} to {high:+.1f}"))
            lines.append(plot.Line(_label(i, name, found), told, record["kind"], value, low, high))
    if not lines:
        return None
    limits = _limits(min(0.0, *(line.low for line in lines)), max(0.0, *(line.high for line in lines)))
    note = "Points of accuracy more (right) or less (left), on the same resampled rows. A bar over 0 may be chance."
    return join(
        plot.intervals(lines, unit="", marks={"no difference": 0.0}, limits=limits),
        tag("p", note, class_="quiet note"),
    )


def _costs(found: Mapping[str, Any]) -> Markup | None:
    """Accuracy by each cost."""
    models = measured(found)
    figures = []
    for cost, (across, label) in _COSTS.items():
        marks = []
        for i, (name, record) in enumerate(models.items(), start=1):
            if record["kind"] != "baseline" and record[cost]:
                value, low, high = (100 * record["accuracy"][part] for part in ("value", "low", "high"))
                marks.append(plot.Point(i, name, record["kind"], record[cost], value, low, high))
        if marks:
            limits = _limits(min(p.low for p in marks), max(p.high for p in marks))
            drawing = plot.scatter(marks, across=across, label=label, limits=limits)
            figures.append(tag("figure", tag("figcaption", f"accuracy by {across}"), drawing))
    note = "Numbers are those of the list above. The band joins the models that nothing cheaper is as accurate as."
    note += " Times are of this machine, after compilation."
    return join(tag("div", figures, class_="scatters"), tag("p", note, class_="quiet note")) if figures else None


def _heat(found: Mapping[str, Any]) -> Markup:
    """Accuracy of every model from every subset of the modalities."""
    models = measured(found)
    rows: dict[Any, list[float | None]] = {}
    for name, record in models.items():
        if record["subsets"]:
            shares = [record["subsets"].get(subset) for subset in found["subsets"]]
            rows[name] = [None if s is None else 100 * s["accuracy"]["value"] for s in shares]
    values = [value for row in rows.values() for value in row if value is not None]
    low = 100 * models["majority"]["accuracy"]["value"] if "majority" in models else min(values)
    columns = [join([tag("span", part, class_="chip") for part in subset.split("+")]) for subset in found["subsets"]]
    note = "Accuracy in per cent where only these modalities are given, the others masked away."
    return join(plot.heat(rows, columns, low=low, high=max(values)), tag("p", note, class_="quiet note"))


def _figures(found: Mapping[str, Any]) -> Markup:
    """Everything as numbers."""
    rows = []
    for i, (name, record) in enumerate(found["models"].items(), start=1):
        label = tag("th", f"{i} {name}", tag("small", record["about"]), scope="row")
        if "failed" in record:
            rows.append(tag("tr", label, tag("td", f"failed: {record['failed']}", colspan=9, class_="quiet")))
            continue
        cells = [
            tag("td", number("accuracy", record["accuracy"]["value"]), class_="value"),
            tag("td", interval("accuracy", record["accuracy"]), class_="quiet"),
            tag("td", number("accuracy", record["f1_macro"]["value"])),
            tag("td", interval("accuracy", record["f1_macro"]), class_="quiet"),
            tag("td", points((record["difference"] or {}).get("f1_macro"))),
            tag("td", number("accuracy", record["calibration_error"]["value"])),
            tag("td", number("log_loss", record["log_loss"]["value"])),
            *(tag("td", label_(record[cost])) for cost, (_, label_) in _COSTS.items()),
            tag("td", short_time(record["compile_seconds"]) if record["compile_seconds"] else ABSENT),
        ]
        rows.append(tag("tr", label, cells))
    names = ["model", "accuracy", "95 % interval", "F1, macro", "95 % interval", "F1 against the reference"]
    names += ["calibration error", "log loss", *(across for across, _ in _COSTS.values()), "compiling"]
    head = tag("thead", tag("tr", [tag("th", text) for text in names]))
    return tag("div", tag("table", head, tag("tbody", rows), class_="figures"), class_="scroll")


def _method(found: Mapping[str, Any]) -> Markup:
    told = [
        "All models have the recipe's encoders, data, budget of steps and seeds, and differ in the fusion alone. "
        "The comparison itself chooses nothing on the rows that are measured.",
        "Intervals are 95 % of a bootstrap that resamples rows and seeds at once, every model on the same resamples: "
        "differences are paired. They do not cover the choice of the best among many, and are too narrow where few "
        "seeds differ much.",
        "The experts are the models of one modality, each trained by its own loss. Their temperatures, and the weights "
        "of their stack, come from training rows that twins of them were trained without; the product has the prior "
        "of the training rows divided out, so that it counts once.",
    ]
    return join([tag("p", text, class_="note") for text in told])
