"""The embedded data set: digits written, dialled and typed. Needs no download."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.datasets import keypad, naming
from mmjax.data.examples import Examples
from mmjax.data.fields import Audio, Class, Image, Text
from mmjax.data.sources import Lazy, Source
from mmjax.data.tokenizers import Characters

_SPLITS = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}
_RATE, _SECONDS = 8000, 0.3
_ORIGIN = 2024  # seed of the data themselves, which do not change with that of a run


@dataclasses.dataclass(frozen=True)
class Digits:
    """Scikit-learn's 1,797 handwritten digits (8 x 8; E. Alpaydin and C. Kaynak, 1998), each with the tones of
    its key on a telephone in noise and its name in one of ten languages with typing errors.

    The same rows on every machine; 60 % are "train", 20 % "val" and 20 % "test", each class in proportion. The
    dials set how hard each modality is: ``blur`` the deviation of the noise on a picture, in shares of its
    range; ``hidden`` the rows of eight that a bar covers; ``snr`` the range of tone over noise in decibels;
    ``typos`` the share of mistyped letters. At their defaults each modality alone leaves much in doubt,
    and together little.
    """

    split: str = "train"
    batch: int = 64
    augment: tuple[Any, ...] = ()
    seed: int = 0
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    blur: float = 0.17
    hidden: int = 1
    snr: tuple[float, float] = (-12.0, 2.0)
    typos: float = 0.25

    label: ClassVar[str] = "label"

    def __post_init__(self) -> None:
        if self.split not in _SPLITS:
            raise UserError(f"datasets.Digits: split is {self.split!r}; it can be {', '.join(_SPLITS)}")

    def source(self) -> Source:
        pixels, labels, numbers = written(self.split)
        cells = functools.lru_cache(maxsize=None)(lambda i: self._cells(int(numbers[i]), pixels, labels))
        name = f"digits {self.split}"
        return Source(name, ("image", "audio", "text", "label"), Lazy(name, len(numbers), cells))

    def fit(self) -> schemas.Schema:
        """The schema of an image, audio, text and label; ``inputs`` may declare others, or fewer."""
        inputs = self.inputs or {
            "image": Image(size=8, channels=1, background=0),
            "audio": Audio(rate=_RATE, seconds=_SECONDS),
            "text": Text(tokenizer=Characters(lower=True), length=16),
        }
        targets = {"label": Class(names=tuple("0123456789"))}
        return schemas.fit(self.source(), inputs=inputs, targets=targets)

    def open(self, schema: schemas.Schema) -> Examples:
        return Examples(self.source(), schema)

    def _cells(self, number: int, pixels: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        rng = np.random.default_rng((_ORIGIN, number))
        digit = int(labels[number])
        picture = pixels[number] / 16 + self.blur * rng.standard_normal((8, 8))
        top = int(rng.integers(0, 8 - self.hidden + 1))
        picture[top : top + self.hidden] = 0
        wave = keypad.press(digit, rng, rate=_RATE, seconds=_SECONDS, snr=self.snr)
        return {
            "image": np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8),
            "audio": (wave, _RATE),
            "text": naming.name(digit, rng, typos=self.typos),
            "label": str(digit),
        }


@functools.cache
def _written() -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``n 8 8`` of 0-16 and their digits ``n``."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    return found.images, found.target


def written(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pictures ``n 8 8`` of 0-16, their digits ``n``, and the numbers of those in this split."""
    pixels, labels = _written()
    return pixels, labels, _part(labels, *_SPLITS[split])


def _part(labels: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Row numbers of one split, in order: the same share of every class."""
    order = np.random.default_rng(_ORIGIN).permutation(len(labels))
    chosen = []
    for digit in range(10):
        own = order[labels[order] == digit]
        chosen.append(own[round(start * len(own)) : round(stop * len(own))])
    return np.sort(np.concatenate(chosen))
