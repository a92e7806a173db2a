"""One table of every encoder, fusion, head, objective and metric, at sizes that compile in a second.

tests/test_contracts.py runs each row through everything that its joint promises. A new part is one new row.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax import encoders, fusion, heads, metrics, objectives
from mmjax.core import Batch, Outputs, Signal, Tokens

WIDTH, DEPTH = 8, 2
SMALL = {"width": WIDTH, "depth": DEPTH, "heads": 2, "mlp": 2.0}
RNG = np.random.default_rng(0)


@dataclasses.dataclass(frozen=True)
class Row:
    """A part, an example of what it takes, and what is known of it beforehand.

    inputs: Signal, Tokens or {name: Tokens} of three rows: the first whole, the second in part, the last absent
    (of a stream: its row; a fusion's third row holds one stream alone).
    parameters: how many, counted on paper. real: unmasked tokens that come out of each row, where tokens do.
    """

    name: str
    module: Any
    inputs: Any
    parameters: int
    real: tuple[int, ...] = ()
    packs: bool = False  # several examples may share a row

    def __str__(self) -> str:
        return self.name


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def block(d: int = WIDTH) -> int:
    """Two norms; query, value and out with bias, key without; an MLP twice as wide."""
    return 4 * d + 4 * d * d + 3 * d + dense(d, 2 * d) + dense(2 * d, d)


def trunk(d: int = WIDTH, depth: int = DEPTH) -> int:
    return depth * block(d) + 2 * d


def stem(*channels: int, kernel: int = 9) -> int:
    return sum(dense(kernel * a, b) for a, b in itertools.pairwise(channels))


def lengths(*counts: int) -> jnp.ndarray:
    """A mask whose rows begin with so many real positions."""
    return jnp.arange(max(counts))[None] < jnp.asarray(counts)[:, None]


def noise(*shape: int) -> jnp.ndarray:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def tokens(width: int, *counts: int) -> Tokens:
    mask = lengths(*counts)
    return Tokens(noise(*mask.shape, width), mask)


def audio(*counts: int) -> Signal:
    mask = lengths(*counts)
    return Signal(noise(*mask.shape), mask)


PICTURE_MASK = jnp.asarray([[True], [True], [False]])
STREAMS = {"sight": tokens(WIDTH, 5, 3, 0), "hearing": tokens(6, 3, 2, 2), "words": tokens(5, 4, 4, 0)}

ENCODERS = [
    Row(
        "image",
        encoders.Image(**SMALL, patch=3, convolutions=0),
        Signal(noise(3, 7, 5, 2), PICTURE_MASK),
        dense(3 * 3 * 2, WIDTH) + trunk(),
        (6, 6, 0),
    ),
    Row(
        "image_stem",
        encoders.Image(**SMALL, patch=4, convolutions=1, channels=4),
        Signal(jnp.asarray(RNG.integers(0, 256, (3, 7, 8, 1)), jnp.uint8), PICTURE_MASK),
        stem(1, 4) + dense(2 * 2 * 4, WIDTH) + trunk(),
        (4, 4, 0),
    ),
    Row(
        "audio",
        encoders.Audio(**SMALL, rate=1_000, mels=6, window=0.032, hop=0.01, convolutions=0),
        audio(60, 31, 0),
        dense(3 * 6, WIDTH) + dense(3 * WIDTH, WIDTH) + trunk(),
        (3, 2, 0),
    ),
    Row(
        "audio_stem",
        encoders.Audio(**SMALL, rate=1_000, mels=6, window=0.032, hop=0.01, convolutions=2, channels=8),
        audio(75, 31, 0),
        stem(1, 8, 8) + dense(2 * 8, WIDTH) + trunk(),
        (2, 1, 0),
    ),
    Row(
        "text",
        encoders.Text(11, **SMALL, length=5),
        Signal(jnp.asarray(RNG.integers(0, 11, (3, 5)), jnp.int32), lengths(5, 2, 0)),
        11 * WIDTH + 5 * WIDTH + trunk(),
        (5, 2, 0),
        packs=True,
    ),
    Row(
        "sensor",
        encoders.Sensor(**SMALL, patch=2),
        Signal(noise(3, 8, 3), lengths(8, 3, 0)),
        dense(2 * 3, WIDTH) + trunk(),
        (4, 2, 0),
        packs=True,
    ),
    Row(
        "sensor_stem",
        encoders.Sensor(**SMALL, patch=4, convolutions=1, channels=4),
        Signal(noise(3, 9, 3), lengths(9, 5, 0)),
        stem(3, 4, kernel=3) + dense(2 * 4, WIDTH) + trunk(),
        (3, 2, 0),
    ),
    Row(
        "table",
        encoders.Table((0, 3, 0, 2), **SMALL),
        Signal(
            jnp.asarray([[0.3, 2, -1.0, 1], [1.2, 0, 0.5, 0], [0.1, 1, 0.2, 1]], jnp.float32),
            jnp.asarray([[True, True, True, True], [False, True, True, False], [False] * 4]),
        ),
        (2 + 5 + 4) * WIDTH + trunk(),
        (4, 2, 0),
    ),
]

FUSIONS = [
    Row("late", fusion.Late(width=WIDTH), STREAMS, (8 + 6 + 5) * WIDTH, (1, 1, 1), packs=True),
    Row("late_spread", fusion.Late(width=WIDTH, spread=True), STREAMS, (8 + 6 + 5) * WIDTH, (1, 1, 1)),
    Row(
        "late_deep",
        fusion.Late(width=WIDTH, depth=1, mlp=2.0),
        STREAMS,
        (8 + 6 + 5) * WIDTH + 2 * WIDTH + dense(WIDTH, 2 * WIDTH) + dense(2 * WIDTH, WIDTH),
        (1, 1, 1),
        packs=True,
    ),
    Row(
        "joint",
        fusion.Joint(**SMALL),
        STREAMS,
        sum(dense(d, WIDTH) for d in (8, 6, 5)) + trunk(),
        (12, 9, 2),
        packs=True,
    ),
    Row(
        "bottleneck",
        fusion.Bottleneck(**SMALL, bottlenecks=2, start=1),
        STREAMS,
        sum(dense(d, WIDTH) + trunk() for d in (8, 6, 5)) + 2 * WIDTH + 2 * WIDTH,
        (12 + 2, 9 + 2, 2 + 2),
    ),
]

HEADS = [
    Row("classify", heads.Classify(3), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 3), packs=True),
    Row("multilabel", heads.MultiLabel(2), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 2), packs=True),
    Row("regress", heads.Regress(), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 1), packs=True),
    Row("regress_many", heads.Regress(2), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 2), packs=True),
]

MODULES = ENCODERS + FUSIONS + HEADS


@dataclasses.dataclass(frozen=True)
class Answer:
    """An objective or a metric with an example of what it reads."""

    name: str
    value: Callable[..., Any]
    outputs: Any
    batch: Any

    def __str__(self) -> str:
        return self.name


def answer(name: str, value: Callable[..., Any], scores: jnp.ndarray, targets: Any, mask: Any) -> Answer:
    """Six rows of head "y" against target "y"."""
    outputs = Outputs(streams={}, fused=tokens(WIDTH, *[1] * 6), heads={"y": scores})
    return Answer(name, value, outputs, Batch({}, {"y": Signal(jnp.asarray(targets), jnp.asarray(mask))}))


ANSWERED = np.arange(6) != 2
CELLS = RNG.random((6, 3)) < 0.7
CLASSES = noise(6, 3), np.asarray([0, 1, 2, 2, 1, 0], np.int32), ANSWERED
LABELS = noise(6, 3), RNG.integers(0, 2, (6, 3)).astype(np.float32), CELLS
NUMBER = noise(6), noise(6), ANSWERED
NUMBERS = noise(6, 3), noise(6, 3), CELLS

OBJECTIVES = [
    answer("cross_entropy", objectives.CrossEntropy("y"), *CLASSES),
    answer(
        "cross_entropy_weighted", objectives.CrossEntropy("y", smoothing=0.1, class_weights=(1.0, 2.0, 0.5)), *CLASSES
    ),
    answer("binary_cross_entropy", objectives.BinaryCrossEntropy("y"), *LABELS),
    answer("squared_error", objectives.SquaredError("y"), *NUMBER),
    answer("squared_error_many", objectives.SquaredError("y"), *NUMBERS),
    answer("absolute_error", objectives.AbsoluteError("y"), *NUMBER),
]

METRICS = [
    answer("classification", metrics.Classification("y"), *CLASSES),
    answer("multilabel", metrics.MultiLabel("y"), *LABELS),
    answer("regression", metrics.Regression("y"), *NUMBER),
    answer("regression_many", metrics.Regression("y"), *NUMBERS),
]
