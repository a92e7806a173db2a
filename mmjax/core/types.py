"""The structures that carry everything: values travel with their masks, sums with their counts.

These structs stay outside the shape-checking import hook, because tree transformations rebuild
them around specs, shardings and counts as well as around arrays.
"""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

# The collection where layers put what they themselves want small, as a mixture an even use of its experts.
LOSSES = "losses"
Array = Any  # a jax or numpy array, or anything a tree transformation puts in its place


class Kept(flax.struct.PyTreeNode):
    """Which of an encoder's n tokens are worked on, where the others are hidden to be guessed (``views.Hide``).

    index: ``b k``, their numbers in order, -1 for no token. mask: ``b n``, which of all tokens are real.
    """

    index: Array
    mask: Array


class Signal(flax.struct.PyTreeNode):
    """What the world gives.

    values: ``b ...``; mask: ``b n``, True where the signal is real, ``n`` in the signal's own unit:

    ======== ================================== =======================
    image    values ``b h w c``, uint8 or float  mask ``b 1``
    audio    values ``b t``, float waveform      mask ``b t``
    text     values ``b t``, int32 token ids     mask ``b t``
    video    values ``b t h w c``, as image's    mask ``b t``
    sensor   values ``b t c``, float             mask ``b t``
    table    values ``b f``, float (categories   mask ``b f``
             are their codes)
    target   one answer a row: values ``b``,     mask of the same shape
             or ``b k`` for k answers a row
    ======== ================================== =======================

    Where several examples share a row, ``segments`` (``b n``, 0 is padding) and ``positions``
    (``b n``) stand beside the mask; None means one segment, counted from 0. Where some tokens are hidden, ``kept``
    tells an encoder which it is to work on; None means all.
    """

    values: Array
    mask: Array
    segments: Array | None = None
    positions: Array | None = None
    kept: Kept | None = None


class Tokens(flax.struct.PyTreeNode):
    """What an encoder gives, and what a fusion takes and gives. values: ``b n d``; mask: ``b n``.

    kept: which of its tokens an encoder worked on, where that is not all.
    """

    values: Array
    mask: Array
    segments: Array | None = None
    positions: Array | None = None
    kept: Kept | None = None


class Batch(flax.struct.PyTreeNode):
    """One step's examples: what goes in, and what should come out."""

    inputs: Mapping[str, Signal]
    targets: Mapping[str, Signal]


class Factored(flax.struct.PyTreeNode):
    """Logits over a large vocabulary, not yet multiplied: ``features @ kernel``.

    shares: how the rows are shared among devices, told by the mesh; None where one has them all. A loss that goes
    through them piece by piece reads it (``objectives.chunked``).
    """

    features: Array
    kernel: Array
    shares: Any = flax.struct.field(pytree_node=False, default=None)


class Outputs(flax.struct.PyTreeNode):
    """Everything a model says about a batch."""

    streams: Mapping[str, Tokens]
    fused: Tokens
    heads: Mapping[str, Any]


class Mean(flax.struct.PyTreeNode):
    """A sum and the count that it is over: add means up, divide last."""

    total: Array
    count: Array

    @classmethod
    def of(cls, values: Array, mask: Array) -> "Mean":
        """The masked mean of ``values``; masked values may be anything, NaN included."""
        total = jnp.sum(jnp.where(mask, values, 0), dtype=jnp.float32)
        return cls(total, jnp.sum(mask, dtype=jnp.float32))

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(self.total + other.total, self.count + other.count)

    def value(self) -> jax.Array:
        """The mean itself; 0 where nothing was counted."""
        return jnp.where(self.count > 0, self.total / jnp.maximum(self.count, 1e-12), 0.0)
