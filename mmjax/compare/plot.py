"""Pictures of a comparison that fit any width, made of the page's own elements and colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmjax.train.page.markup import Markup, tag

WIDTH, HEIGHT = 360, 270  # units of a scatter; about a pixel each on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 40
_RADIUS = 5.5
COLOURS = {"baseline": "var(--c8)", "alone": "var(--c3)", "experts": "var(--c4)", "fusion": "var(--c1)"}


@dataclass(frozen=True)
class Point:
    """A model in a scatter: where it is, how sure that is, and the number that people know it by."""

    number: int
    name: str
    kind: str
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """A row of an interval plot. dots: of single seeds."""

    label: Markup | str
    told: Markup | str
    kind: str
    value: float
    low: float
    high: float
    dots: Sequence[float] = ()
    strong: bool = False


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within the range, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within the range, fewer where that is wide."""
    start, stop = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if high / low < 60 else (1,)
    step = max(1, (stop - start) // 5)
    return [f * 10.0**p for p in range(start, stop + 1, step) for f in factors if low <= f * 10.0**p <= high]


def intervals(lines: Sequence[Line], *, unit: str, marks: Mapping[str, float], limits: tuple[float, float]) -> Markup:
    """A line a model: its interval, its mean and its seeds over one scale. marks: values to hold them against."""
    low, high = limits
    span = max(high - low, 1e-9)

    def at(value: float) -> str:
        return f"{100 * (min(max(value, low), high) - low) / span:.2f}%"

    grid = [tag("i", class_="grid", style=f"left:{at(t)}") for t in ticks(low, high)]
    grid += [tag("i", class_="mark", style=f"left:{at(value)}", title=name) for name, value in marks.items()]
    rows = []
    for line in lines:
        colour = COLOURS[line.kind]
        width = f"calc({at(line.high)} - {at(line.low)})"
        track = [
            *grid,
            tag("i", class_="span", style=f"left:{at(line.low)};width:{width};background:{colour}"),
            [tag("i", class_="seed", style=f"left:{at(dot)};border-color:{colour}") for dot in line.dots],
            tag("i", class_="dot", style=f"left:{at(line.value)};background:{colour}"),
        ]
        cells = [
            tag("div", line.label, class_="name"),
            tag("div", track, class_="track"),
            tag("div", line.told, class_="told"),
        ]
        rows.append(tag("div", cells, class_="line strong" if line.strong else "line"))
    scale = [tag("span", f"{t:g}{unit}", style=f"left:{at(t)}") for t in ticks(low, high)]
    foot = [tag("div", class_="name"), tag("div", scale, class_="scale"), tag("div", class_="told")]
    return tag("div", rows, tag("div", foot, class_="line foot-line"), class_="forest")


def scatter(points: Sequence[Point], *, across: str, label: Any, limits: tuple[float, float]) -> Markup:
    """Accuracy in per cent (up) by a cost (across, on a log scale), each point numbered; the efficient ones joined."""
    low, high = min(p.x for p in points) / 1.4, max(p.x for p in points) * 1.4
    bottom, top = limits

    def right(x: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * math.log(x / low) / math.log(high / low)

    def up(y: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (y - bottom) / max(top - bottom, 1e-9)

    places = [(right(p.x), up(p.y)) for p in points]
    drawn = [*_axes(right, up, powers(low, high), ticks(bottom, top), across=across, label=label)]
    front = _front(points)
    if len(front) > 1:
        path = " ".join(f"{right(p.x):.1f},{up(p.y):.1f}" for p in front)
        drawn.append(tag("polyline", points=path, fill="none", stroke="var(--track)", stroke_width=5))
    for point, (x, _) in zip(points, places, strict=True):
        colour = COLOURS[point.kind]
        ends = {"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": f"{up(point.low):.1f}", "y2": f"{up(point.high):.1f}"}
        drawn.append(tag("line", **ends, stroke=colour, stroke_width=1.5, opacity=0.45))
    for point, (x, y) in zip(points, places, strict=True):
        name = tag("title", f"{point.name}: {point.y:.1f} %, {label(point.x)}")
        circle = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": _RADIUS}
        drawn.append(tag("circle", name, **circle, fill=COLOURS[point.kind], stroke="var(--card)", stroke_width=1.2))
    for point, (x, y) in zip(points, _labels(places), strict=True):
        drawn.append(tag("text", str(point.number), x=f"{x:.1f}", y=f"{y:.1f}", class_="number"))
    return tag("svg", drawn, role="img", viewBox=f"0 0 {WIDTH} {HEIGHT}")


def _axes(
    right: Any, up: Any, across_ticks: Sequence[float], up_ticks: Sequence[float], *, across: str, label: Any
) -> list[Markup]:
    end, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    found = []
    for t in up_ticks:
        y = f"{up(t):.1f}"
        found.append(tag("line", x1=_LEFT, x2=end, y1=y, y2=y, stroke="var(--line)"))
        found.append(tag("text", f"{t:g} %", x=_LEFT - 6, y=f"{up(t) + 3.5:.1f}", text_anchor="end"))
    for t in across_ticks:
        x = f"{right(t):.1f}"
        found.append(tag("line", x1=x, x2=x, y1=floor, y2=floor + 4, stroke="var(--line)"))
        found.append(tag("text", label(t), x=x, y=floor + 16, text_anchor="middle"))
    middle = (_LEFT + end) / 2
    return [*found, tag("text", across, x=f"{middle:.1f}", y=HEIGHT - 6, text_anchor="middle", class_="axis")]


def _front(points: Sequence[Point]) -> list[Point]:
    """Those that nothing cheaper is as accurate as."""
    best, found = -math.inf, []
    for point in sorted(points, key=lambda p: (p.x, -p.y)):
        if point.y > best:
            best = point.y
            found.append(point)
    return found


def _labels(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where each number stands: of eight places around its point, that which is least crowded by what is there."""
    taken: list[tuple[float, float]] = list(places)
    found = []
    for x, y in places:
        around = [(x + 13 * math.cos(a * math.pi / 4), y + 13 * math.sin(a * math.pi / 4)) for a in range(-2, 6)]
        inside = [p for p in around if _LEFT < p[0] < WIDTH - 4 and 4 < p[1] < HEIGHT - _BOTTOM] or around
        others = [p for p in taken if p != (x, y)]
        place = min(inside, key=lambda p: sum(max(0.0, 15 - math.dist(p, o)) for o in others))
        taken.append(place)
        found.append((place[0], place[1] + 3.5))
    return found


def heat(rows: Mapping[Any, Sequence[float | None]], columns: Sequence[Any], *, low: float, high: float) -> Markup:
    """Shares in per cent as a table, darker from ``low`` to ``high``; None is an empty cell."""
    body = []
    for label, values in rows.items():
        cells = [_cell(value, low, high) for value in values]
        body.append(tag("tr", tag("th", label, scope="row"), cells))
    head = tag("tr", tag("th"), [tag("th", column, scope="col") for column in columns])
    return tag("div", tag("table", tag("thead", head), tag("tbody", body), class_="heat"), class_="scroll")


def _cell(value: float | None, low: float, high: float) -> Markup:
    if value is None:
        return tag("td", class_="none")
    share = min(max((value - low) / max(high - low, 1e-9), 0), 1)
    style = f"background:color-mix(in srgb, var(--accent) {6 + 84 * share**1.4:.0f}%, var(--card))"
    return tag("td", f"{value:.1f}", style=style, class_="strong" if share > 0.72 else None)


def legend(kinds: Mapping[str, str]) -> Markup:
    """What the colours stand for."""
    return tag(
        "div",
        [tag("span", tag("i", style=f"background:{COLOURS[kind]}"), name) for kind, name in kinds.items()],
        class_="legend",
    )
