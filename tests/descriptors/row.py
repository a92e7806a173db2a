"""What a row of the table is, example inputs for it, and counts on paper of what many parts share."""

import dataclasses
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.core import Signal, Tokens

WIDTH, DEPTH = 8, 2
SMALL = {"width": WIDTH, "depth": DEPTH, "heads": 2, "mlp": 2.0}


@dataclasses.dataclass(frozen=True)
class Row:
    """A part, an example of what it takes, and what is known of it beforehand.

    inputs: Signal, Tokens or {name: Tokens} of three rows: the first whole, the second in part, the last absent
    (of a stream: its row; a fusion's third row holds one stream alone).
    parameters: how many, counted on paper. real: unmasked tokens that come out of each row, where tokens do.
    width: of the tokens that come out. statistics: numbers in ``batch_stats``, counted on paper.
    """

    name: str
    module: Any
    inputs: Any
    parameters: int
    real: tuple[int, ...] = ()
    packs: bool = False  # several examples may share a row
    apart: bool = False  # so they may, but what comes out of one is not side by side
    width: int = WIDTH
    statistics: int = 0
    drawn: bool = True  # parameters begin at random, not all at fixed numbers
    exact: int = 0  # products that stay in float32 whatever the dtype, as those of mel bands do

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
    return jnp.asarray(np.arange(max(counts)) < np.asarray(counts)[:, None])


def noise(*shape: int, seed: int = 0) -> jnp.ndarray:
    """The same for the same shape and seed, so that a new row changes no other."""
    return jnp.asarray(np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32))


def integers(limit: int, *shape: int, seed: int = 0) -> np.ndarray:
    """From 0 to ``limit`` - 1, the same for the same limit, shape and seed."""
    return np.random.default_rng((seed, limit, *shape)).integers(0, limit, shape).astype(np.int32)


def tokens(width: int, *counts: int) -> Tokens:
    mask = lengths(*counts)
    return Tokens(noise(*mask.shape, width), mask)


def audio(*counts: int) -> Signal:
    mask = lengths(*counts)
    return Signal(noise(*mask.shape), mask)


PICTURE_MASK = lengths(1, 1, 0)
