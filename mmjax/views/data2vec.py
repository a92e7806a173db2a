"""A modality partly hidden, with what the averaged weights made of all of it."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError
from mmjax.views.several import given

EPSILON = 1e-5  # of the normalisation


@dataclass(frozen=True)
class Data2vec:
    """The share ``hide`` of a modality's patches hidden, with features of them by a teacher that saw all as ``target``.

    data2vec (Baevski et al., 2022, https://arxiv.org/abs/2202.03555). The teacher is the run's average
    (``Optim.average``, near 1). Its features are the mean over the encoder's ``top`` last layers of what their MLPs
    say before it is added, each normalised over its numbers: so they tell of the whole picture, not of a patch alone.
    Their target is ``b n d``, with a mask of the tokens that were hidden; ``objectives.Data2vec`` learns it.

    patch: places of a token along each axis, as the encoder's own; first: tokens that come before those of patches, as
    class tokens. Pictures ``b h w c`` are hidden in squares of ``block`` by ``block`` patches, series (``b t c``,
    ``b t``) in spans of ``block``, as near to the share as may be. What is hidden is ``fill`` (of pixels on a scale of
    -1 to 1).
    Raises UserError where the encoder's tokens are no such patches, or its layers cannot be had.
    """

    stream: str
    patch: int
    hide: float = 0.6
    block: int = 1
    top: int = 2
    first: int = 0
    fill: float = 0.0
    target: str = "teacher"

    def __post_init__(self) -> None:
        if not 0 < self.hide < 1 or min(self.patch, self.block, self.top) < 1 or self.first < 0:
            raise UserError(
                f"views.Data2vec: hide={self.hide} must lie between 0 and 1; patch, block and top be 1 or more"
            )

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        signal = given(batch.inputs, self.stream)
        layers = said.layers(batch.inputs, self.stream)
        if len(layers) < self.top:
            raise UserError(f"views.Data2vec: top={self.top}, but {self.stream!r} has {len(layers)} layers")
        taught = sum(map(_normed, (layer.values for layer in layers[-self.top :]))) / self.top
        values = jnp.asarray(signal.values)
        sides = values.shape[1:3] if values.ndim == 4 else values.shape[1:2]
        grid = [-(-side // self.patch) for side in sides]
        tokens = layers[-1].mask.shape[1]
        if tokens != self.first + math.prod(grid) or values.ndim > 4:
            wanted = f"first={self.first} and {' x '.join(map(str, grid))} patches of {self.patch}"
            raise UserError(f"views.Data2vec: {self.stream!r} has {tokens} tokens, not {wanted}")
        hidden = self._hidden(len(values), grid, key)
        mask = layers[-1].mask & jnp.pad(hidden.reshape(len(values), -1), ((0, 0), (self.first, 0)))
        inputs = {**batch.inputs, self.stream: signal.replace(values=self._blind(values, hidden, sides))}
        return Batch(inputs, {**batch.targets, self.target: Signal(taught, mask)})

    def _hidden(self, rows: int, grid: list[int], key: jax.Array) -> jax.Array:
        """Which patches ``b *grid`` are hidden: whole blocks, those that have drawn the lowest numbers."""
        coarse = [-(-side // self.block) for side in grid]
        drawn = jax.random.uniform(key, (rows, math.prod(coarse)), jnp.float32)
        many = min(max(round(self.hide * drawn.shape[1]), 1), drawn.shape[1])
        hidden = (jnp.argsort(jnp.argsort(drawn, axis=1), axis=1) < many).reshape(rows, *coarse)
        return _grown(hidden, self.block, grid)

    def _blind(self, values: Any, hidden: jax.Array, sides: Any) -> Any:
        """The signal without what is hidden."""
        places = _grown(hidden, self.patch, sides)
        fill = round((self.fill + 1) * 127.5) if values.dtype == jnp.uint8 else self.fill
        places = places.reshape(places.shape + (1,) * (values.ndim - places.ndim))
        return jnp.where(places, jnp.asarray(fill, values.dtype), values)


def _grown(hidden: jax.Array, by: int, sides: Any) -> jax.Array:
    """Each place ``by`` times along every axis but that of rows, cut to ``sides``."""
    for axis, side in enumerate(sides, start=1):
        hidden = jax.lax.slice_in_dim(jnp.repeat(hidden, by, axis=axis), 0, side, axis=axis)
    return hidden


def _normed(values: Any) -> Any:
    """Of mean 0 and variance 1 over the numbers of each token, in float32 at least."""
    exact = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    off = exact - jnp.mean(exact, axis=-1, keepdims=True)
    return off * jax.lax.rsqrt(jnp.mean(jnp.square(off), axis=-1, keepdims=True) + EPSILON)
