"""Two modalities of which it is known how much they say alone, the same, and only together."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.examples import Examples
from mmjax.data.fields import Class, Sensor
from mmjax.data.sources import Lazy, Source

_SPLITS = {"train": 0, "val": 1, "test": 2}
_ORIGIN = 2025  # seed of the rows themselves, which do not change with that of a run
_BLUR = 0.1  # deviation of the noise on a symbol's 0s and 1s: one in 10**12 could be misread


@dataclasses.dataclass(frozen=True)
class Synergy:
    """Rows of modalities "a" and "b" whose answer, one of ``classes``, is told in one of several ways.

    A share ``redundancy`` of the rows has it in both, ``uniqueness[0]`` in a alone, ``uniqueness[1]`` in b alone, and
    ``synergy`` only in the sum of two symbols modulo ``classes``, each of which says nothing by itself; the rest
    tells nothing. (The shares are the atoms of a partial information decomposition: Williams and Beer, 2010,
    https://arxiv.org/abs/1004.2515.) Every symbol is replaced by a random one with probability ``noise``.

    A modality is a sensor log of three steps with ``classes`` channels: what both tell, what it tells alone, what it
    adds to the sum; a step is the symbol's channel at 1, the others at 0, slightly blurred, or all at 0 for
    nothing. So the way of a row can be seen, and ``optimal`` is what no classifier can beat but by luck.

    The same rows on every machine, others for each of the splits "train", "val" and "test".
    """

    split: str = "train"
    rows: int = 2_000
    classes: int = 4
    redundancy: float = 0.2
    uniqueness: tuple[float, float] = (0.2, 0.2)
    synergy: float = 0.3
    noise: float = 0.0
    batch: int = 64
    augment: tuple[Any, ...] = ()
    seed: int = 0

    label: ClassVar[str] = "label"

    def __post_init__(self) -> None:
        if self.split not in _SPLITS:
            raise UserError(f"datasets.Synergy: split is {self.split!r}; it can be {', '.join(_SPLITS)}")
        if self.rows < 1 or self.classes < 2:
            raise UserError(f"datasets.Synergy: rows={self.rows}, classes={self.classes}; it takes 1 row and 2 classes")
        if min(self._shares) < -1e-9 or not 0 <= self.noise <= 1:
            raise UserError(
                f"datasets.Synergy: redundancy={self.redundancy}, uniqueness={self.uniqueness} and "
                f"synergy={self.synergy} must be 0 or more and together at most 1, noise={self.noise} from 0 to 1"
            )

    def source(self) -> Source:
        rng = np.random.default_rng((_ORIGIN, _SPLITS[self.split]))
        a, b, answers = self._drawn(rng)
        cells = [{"a": a[i], "b": b[i], "label": str(int(answers[i]))} for i in range(self.rows)]
        name = f"synergy {self.split}"
        return Source(name, ("a", "b", "label"), Lazy(name, self.rows, lambda i: cells[i]))

    def fit(self) -> schemas.Schema:
        """Two sensors as they are, and the label."""
        mean, std = (0.0,) * self.classes, (1.0,) * self.classes
        inputs = {name: Sensor(name, mean=mean, std=std) for name in ("a", "b")}
        targets = {"label": Class(names=tuple(map(str, range(self.classes))))}
        return schemas.fit(self.source(), inputs=inputs, targets=targets)

    def open(self, schema: schemas.Schema) -> Examples:
        return Examples(self.source(), schema)

    def optimal(self) -> Mapping[str, float]:
        """The best accuracy that is possible from a, from b, from both (``a+b``), and for a product of experts.

        With k classes and noise e, a symbol is right with probability c = 1 - e + e / k. Two noisy tellings of the
        same are no better than one (where they differ, neither is the likelier), and a sum is right where both or
        neither of its terms are, in the right way: c² + (1 - c)² / (k - 1). Experts that know one modality each are at
        chance, 1 / k, where only the sum tells; on all other rows their product is optimal.
        """
        both, a, b, together, nothing = self._shares
        k = self.classes
        right = 1 - self.noise + self.noise / k
        summed = right**2 + (1 - right) ** 2 / (k - 1)
        told = both + a + b
        return {
            "a": (both + a) * right + (1 - both - a) / k,
            "b": (both + b) * right + (1 - both - b) / k,
            "a+b": told * right + together * summed + nothing / k,
            "product of experts": told * right + (1 - told) / k,
        }

    @property
    def _shares(self) -> tuple[float, float, float, float, float]:
        told = (self.redundancy, *self.uniqueness, self.synergy)
        return (*told, 1 - sum(told))  # pyright: ignore[reportReturnType]

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signals ``n 3 k`` of a and b, and answers ``n``."""
        n, k = self.rows, self.classes
        shares = np.maximum(self._shares, 0)
        way = rng.choice(5, n, p=shares / shares.sum())
        answers, addend = rng.integers(0, k, n), rng.integers(0, k, n)
        symbols = np.full((2, n, 3), -1)
        symbols[:, way == 0, 0] = answers[way == 0]
        for i in range(2):
            symbols[i, way == 1 + i, 1] = answers[way == 1 + i]
        symbols[0, way == 3, 2] = addend[way == 3]
        symbols[1, way == 3, 2] = (answers - addend)[way == 3] % k
        random = rng.integers(0, k, symbols.shape)
        symbols = np.where((symbols >= 0) & (rng.random(symbols.shape) < self.noise), random, symbols)
        signals = (symbols[..., None] == np.arange(k)) + _BLUR * rng.standard_normal((*symbols.shape, k))
        return signals[0].astype(np.float32), signals[1].astype(np.float32), answers
