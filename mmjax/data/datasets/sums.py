"""Two digits to add up, written as a text and seen as a picture. Needs no download."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.datasets.digits import written
from mmjax.data.examples import Examples
from mmjax.data.sources import Lazy, Source

_ORIGIN = 2026  # seed of the pairs of pictures, which do not change with that of a run
_SPLITS = {"train": 10_000, "val": 1_000, "test": 1_000}


@dataclasses.dataclass(frozen=True)
class Sums:
    """Columns ``sum`` ("3+4="), ``answer`` ("7") and ``image``, both digits side by side (8 x 16, 0 to 255).

    Without ``pictures`` the 100 sums there are, the same in every split; with them 10,000 pairs of scikit-learn's
    handwritten digits in "train", 1,000 in "val" and "test", no picture of which is in another split. inputs and
    targets: as of ``Manifest``.
    """

    split: str = "train"
    pictures: bool = False
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    targets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch: int = 100
    augment: tuple[Any, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in _SPLITS:
            raise UserError(f"datasets.Sums: split is {self.split!r}; it can be {', '.join(_SPLITS)}")

    def source(self) -> Source:
        if not self.pictures:
            pairs = [divmod(i, 10) for i in range(100)]
            return Source("sums", ("sum", "answer"), Lazy("sums", 100, lambda i: _told(*pairs[i])))
        pixels, labels, numbers = written(self.split)
        drawn = np.random.default_rng((_ORIGIN, list(_SPLITS).index(self.split)))
        both = numbers[drawn.integers(0, len(numbers), (_SPLITS[self.split], 2))]

        def cells(i: int) -> Mapping[str, Any]:
            image = np.concatenate([pixels[n] for n in both[i]], axis=1) * (255 / 16)
            return {**_told(*(int(labels[n]) for n in both[i])), "image": np.round(image).astype(np.uint8)}

        name = f"sums of pictures, {self.split}"
        return Source(name, ("sum", "answer", "image"), Lazy(name, len(both), cells))

    def fit(self) -> schemas.Schema:
        """The schema that these rows, as training rows, teach."""
        return schemas.fit(self.source(), inputs=self.inputs, targets=self.targets)

    def open(self, schema: schemas.Schema) -> Examples:
        return Examples(self.source(), schema)


def _told(one: int, other: int) -> dict[str, str]:
    return {"sum": f"{one}+{other}=", "answer": str(one + other)}
