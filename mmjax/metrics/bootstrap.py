"""One implementation for a figure and for its interval: every metric is a function of row weights.

Ones give the figure itself, multinomial counts give a bootstrap resample (Efron, 1979,
https://doi.org/10.1214/aos/1176344552); both go through the same code, many resamples at once.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Weights = Float[np.ndarray, "r n"]

_LEVEL = (2.5, 97.5)  # percentiles of a 95 % interval
_AT_ONCE = 1 << 21  # weights held at one time; what metrics make of them stays below about 150 MB


@dataclass(frozen=True)
class Measured:
    """Figures of r weightings: one number each, or one for each of k classes, labels or outputs. NaN: undefined."""

    figures: Mapping[str, Float[np.ndarray, " r"]]
    each: Mapping[str, Float[np.ndarray, "r k"]] = field(default_factory=dict)


Measure = Callable[[Weights], Measured]


@dataclass(frozen=True)
class Report:
    """JSON-ready: ``{"value", "low", "high"}`` by name of the figure, and a list of those for each class."""

    figures: dict[str, dict[str, Any]]
    each: dict[str, list[dict[str, Any]]]


def estimate(
    measure: Measure, *, rows: int, resamples: int, seed: int, together: Int[np.ndarray, " n"] | None = None
) -> Report:
    """Figures with 95 % percentile intervals over ``resamples`` resamples of the rows; none of them: figures alone.

    An undefined figure is None; resamples in which a figure is undefined do not count. The interval
    is widened to hold the figure itself where resampling is so biased (calibration error) that it would not.
    Without rows every figure is undefined. together: as of ``resampled``.
    """
    value = measure(np.ones((1, rows), np.float32))
    drawn = [measure(weights) for weights in resampled(rows, resamples, seed, together)]
    if rows == 0:
        value, drawn = _undefined(value), [_undefined(value)] if resamples else []
    figures = {name: figure(one[0], _joined([d.figures[name] for d in drawn])) for name, one in value.figures.items()}
    each = {name: _columns(one[0], _joined([d.each[name] for d in drawn])) for name, one in value.each.items()}
    return Report(figures, each)


def resampled(rows: int, resamples: int, seed: int, together: Int[np.ndarray, " n"] | None = None) -> Iterator[Weights]:
    """How often each row is drawn, when as many as there are are drawn with replacement; in chunks that fit memory.

    together: for each row the number of its cluster, from 0. Clusters are then what is drawn, with all of their rows:
    several questions about one picture tell less than as many about pictures of their own (Field & Welsh, 2007,
    https://doi.org/10.1111/j.1467-9868.2007.00593.x).
    """
    rng = np.random.default_rng(seed)
    size = max(1, _AT_ONCE // max(1, rows))
    most = rows if together is None else int(together.max(initial=-1)) + 1
    for start in range(0, resamples if rows else 0, size):
        count = min(size, resamples - start)
        drawn = rng.integers(0, most, (count, most)) + most * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * most).reshape(count, most).astype(np.float32)
        yield weights if together is None else weights[:, together]


def clusters(labels: Sequence[Hashable]) -> Int[np.ndarray, " n"] | None:
    """Numbers from 0 of equal labels, in the order of the first of each; None of none."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels]) if labels else None


def explain(figures: Mapping[str, dict[str, Any]], reasons: Mapping[str, str]) -> None:
    """Say beside each undefined figure why it is so."""
    for name, figure in figures.items():
        if figure["value"] is None:
            figure["reason"] = reasons.get(name, "there are no rows with an answer")


def named(names: Sequence[str], count: int) -> list[str]:
    """``names``, or numbers where there are none. Raises ValueError when there are not ``count``."""
    if len(names) == 0:
        return [str(i) for i in range(count)]
    if len(names) != count:
        raise ValueError(f"{len(names)} names for a head of {count}")
    return list(names)


def ratio(above: np.ndarray, below: np.ndarray, *, empty: float = 0.0) -> np.ndarray:
    """``above / below`` in float64, and ``empty`` where below is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), below)
    return np.divide(above, below, out=np.full(above.shape, empty), where=below != 0)


def _undefined(measured: Measured) -> Measured:
    return Measured(
        *({k: np.full_like(v, np.nan) for k, v in part.items()} for part in (measured.figures, measured.each))
    )


def _joined(samples: list[np.ndarray]) -> np.ndarray | None:
    return np.concatenate(samples) if samples else None


def _columns(values: np.ndarray, samples: np.ndarray | None) -> list[dict[str, Any]]:
    return [figure(value, None if samples is None else samples[:, i]) for i, value in enumerate(values)]


def figure(value: float, samples: np.ndarray | None) -> dict[str, Any]:
    """``{"value", "low", "high"}`` of a figure and its resamples, undefined (NaN) ones left out; None: value alone."""
    if np.isnan(value):
        return {"value": None} if samples is None else {"value": None, "low": None, "high": None}
    if samples is None:
        return {"value": float(value)}
    defined = samples[~np.isnan(samples)]
    low, high = np.percentile(defined, _LEVEL) if defined.size else (value, value)
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value))}
