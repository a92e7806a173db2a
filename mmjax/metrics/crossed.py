"""How good is a method, over the rows that it could have met and the seeds that it could have had?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from mmjax.metrics import bootstrap
from mmjax.metrics.bootstrap import Measure


@dataclass(frozen=True)
class Crossed:
    """Figures of one method, trained with several seeds, each of which answers the same rows.

    A figure is its mean over the seeds. Its 95 % interval is that of the pigeonhole bootstrap, which resamples rows
    and seeds independently, both with replacement, every seed on the same rows (Owen, 2007,
    https://arxiv.org/abs/0712.1111). Of the rows' share it is wide rather than narrow. Where seeds differ far more than
    that, a few cannot tell by how much: then 3 of them hold the truth in about 4 of 5 intervals, 5 in nearly 9 of 10.
    With one seed it is over the rows alone, as in ``bootstrap``. All methods with the same numbers of rows and seeds
    meet the same resamples, so that their difference is a paired one: ``minus``.

    values: the means. seeds: of each seed, in order. samples: one number a resample.
    """

    values: Mapping[str, float]
    seeds: Mapping[str, Sequence[float]]
    samples: Mapping[str, Float[np.ndarray, " r"]] = field(repr=False)

    @classmethod
    def of(cls, measures: Sequence[Measure], *, rows: int, resamples: int = 1000, seed: int = 0) -> "Crossed":
        """measures: one a seed, over the same ``rows`` rows. Raises ValueError where there is none, or no row."""
        if not measures or not rows:
            raise ValueError("there is no seed or no row to measure")
        exact = [measure(np.ones((1, rows), np.float32)).figures for measure in measures]
        seeds = {name: [float(figures[name][0]) for figures in exact] for name in exact[0]}
        rng = np.random.default_rng((seed, len(measures)))
        drawn = rng.multinomial(len(measures), np.full(len(measures), 1 / len(measures)), resamples) / len(measures)
        found: dict[str, list[np.ndarray]] = {name: [] for name in seeds}
        done = 0
        for weights in bootstrap.resampled(rows, resamples, seed):
            each = [measure(weights).figures for measure in measures]
            share = drawn[done : done + len(weights)]
            done += len(weights)
            for name, parts in found.items():
                parts.append(np.sum(share * np.stack([figures[name] for figures in each], axis=1), axis=1))
        samples = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in found.items()}
        return cls({name: float(np.mean(values)) for name, values in seeds.items()}, seeds, samples)

    def figures(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """``{"value", "low", "high"}`` by name."""
        return {name: bootstrap.figure(self.values[name], self.samples[name]) for name in names}

    def minus(self, other: "Crossed", names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """This method less the other, on the same resamples."""
        return {
            name: bootstrap.figure(self.values[name] - other.values[name], self.samples[name] - other.samples[name])
            for name in names
        }
