"""Where a token stands."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Int

from mmjax.core import UserError

KINDS = ("sinusoidal", "learned", "rotary", "relative", "none")
_BUCKETS, _FARTHEST = 32, 128  # of relative distances, as in T5


def within(kind: str) -> dict[str, Any]:
    """What attention has to be told of ``kind``: the fields ``rotary`` and ``relative`` of a trunk.

    Raises UserError for a kind that there is not.
    """
    if kind not in KINDS:
        raise UserError(f"positions is {kind!r}; it can be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    return {"rotary": kind == "rotary", "relative": _BUCKETS if kind == "relative" else 0}


def marked(
    values: Float[Array, "b n d"], positions: Int[Array, "#b n"], *, kind: str, length: int, name: str = "position"
) -> Float[Array, "b n d"]:
    """``values`` with their positions added, where ``kind`` adds any; learned ones have a table of ``length``."""
    if kind == "sinusoidal":
        return values + sinusoids(positions, values.shape[-1]).astype(values.dtype)
    if kind == "learned":
        if length < 1:
            raise UserError("positions='learned' needs length=, the number of positions to learn")
        return values + Learned(length, name=name)(positions, values.shape[-1]).astype(values.dtype)
    return values


def marked_2d(
    values: Float[Array, "b i j d"], *, kind: str, grid: Sequence[int]
) -> tuple[Float[Array, "b n d"], Int[Array, "b n 2"] | None]:
    """A grid in reading order with its places added, where ``kind`` adds any; and its places, for the other kinds.

    Learned ones have a table of ``grid``, (rows, columns).
    """
    b, rows, columns, width = values.shape
    flat, at = values.reshape(b, rows * columns, width), places(rows, columns)
    if kind == "sinusoidal":
        flat += sinusoids_2d(rows, columns, width).astype(values.dtype)
    if kind == "learned":
        flat += Grid(*grid, name="position")(at, width).astype(values.dtype)
    return flat, jnp.broadcast_to(at, (b, *at.shape[1:])) if kind in ("rotary", "relative") else None


def marked_at(
    values: Float[Array, "b n d"], at: Int[Array, "b n 2"], *, kind: str, grid: Sequence[int]
) -> Float[Array, "b n d"]:
    """``values`` at rows and columns of their own, with their places added as ``marked_2d`` does."""
    if kind == "sinusoidal":
        half = values.shape[-1] // 2
        own = [sinusoids(at[..., 0], half), sinusoids(at[..., 1], values.shape[-1] - half)]
        return values + jnp.concatenate(own, axis=-1).astype(values.dtype)
    if kind == "learned":
        return values + Grid(*grid, name="position")(at, values.shape[-1]).astype(values.dtype)
    return values


def places(rows: int, columns: int) -> Int[Array, "1 n 2"]:
    """The row and column of every place of a grid, in reading order."""
    return jnp.stack(jnp.meshgrid(jnp.arange(rows), jnp.arange(columns), indexing="ij"), axis=-1).reshape(1, -1, 2)


def sinusoids(positions: Int[Array, "*b"], width: int) -> Float[Array, "*b d"]:
    """Sines, then cosines, of each position at ``width / 2`` frequencies from 1 down to 1/10,000.

    Vaswani et al., 2017 (https://arxiv.org/abs/1706.03762), with the halves side by side as in Whisper.
    An odd width ends on a zero.
    """
    half = width // 2
    rates = np.exp(-np.log(10_000) * np.arange(half) / max(half - 1, 1)).astype(np.float32)
    angles = positions[..., None].astype(jnp.float32) * rates
    waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return jnp.pad(waves, [(0, 0)] * (waves.ndim - 1) + [(0, width - 2 * half)])


def sinusoids_2d(height: int, width: int, features: int) -> Float[Array, "n d"]:
    """Sinusoids of a grid in reading order: the first half of the features tells the row, the rest the column."""
    half = features // 2
    rows = jnp.repeat(sinusoids(jnp.arange(height), half), width, axis=0)
    columns = jnp.tile(sinusoids(jnp.arange(width), features - half), (height, 1))
    return jnp.concatenate([rows, columns], axis=-1)


class Learned(linen.Module):
    """A learned vector for each of ``length`` positions; a later position takes the last one."""

    length: int
    stddev: float = 0.02

    @linen.compact
    def __call__(self, positions: Int[Array, "*b"], width: int) -> Float[Array, "*b d"]:
        table = self.param("embedding", linen.initializers.normal(self.stddev), (self.length, width))
        return jnp.take(table, positions, axis=0, mode="clip")


class Grid(linen.Module):
    """A learned vector for each place of a grid of ``rows`` by ``columns``; one beyond its edge takes the last."""

    rows: int
    columns: int
    stddev: float = 0.02

    @linen.compact
    def __call__(self, positions: Int[Array, "*b 2"], width: int) -> Float[Array, "*b d"]:
        table = self.param("embedding", linen.initializers.normal(self.stddev), (self.rows * self.columns, width))
        row, column = jnp.minimum(positions[..., 0], self.rows - 1), jnp.minimum(positions[..., 1], self.columns - 1)
        return jnp.take(table, row * self.columns + column, axis=0)


def rotated(values: Float[Array, "b n k h"], positions: Int[Array, "#b n *a"]) -> Float[Array, "b n k h"]:
    """Queries or keys turned by their positions, so that their product knows how far apart they are.

    Rotary positions (Su et al., 2021, https://arxiv.org/abs/2104.09864): feature i turns with feature i + h / 2, at
    rates from 1 down to 1 / 10,000. Of positions with several axes each has its own equal share of the features.
    Raises UserError where a head's features cannot be shared evenly.
    """
    if positions.ndim == 2:
        positions = positions[..., None]
    axes, size = positions.shape[-1], values.shape[-1]
    if size % (2 * axes):
        raise UserError(f"rotary positions need heads of a multiple of {2 * axes} features, not {size}; change heads")
    half = size // axes // 2
    rates = 10_000.0 ** (-np.arange(half) / half)
    angles = positions[:, :, None, :, None].astype(jnp.float32) * rates.astype(np.float32)  # b n 1 a h
    first, second = jnp.split(values.reshape(*values.shape[:3], axes, 2 * half).astype(jnp.float32), 2, axis=-1)
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    turned = jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return turned.reshape(values.shape).astype(values.dtype)


def bucket(distance: Int[Array, "*b"], buckets: int) -> Int[Array, "*b"]:
    """Which of ``buckets`` a distance falls in: half for each direction, near ones exact, far ones by logarithm."""
    half = buckets // 2
    exact = half // 2
    away = jnp.abs(distance)
    far = jnp.log(jnp.maximum(away, 1) / exact) / np.log(_FARTHEST / exact) * (half - exact)
    own = jnp.where(away < exact, away, jnp.minimum(exact + far.astype(jnp.int32), half - 1))
    return own + jnp.where(distance > 0, half, 0)


class Relative(linen.Module):
    """What attention adds for how far a key stands from the query (T5, Raffel et al., 2019,
    https://arxiv.org/abs/1910.10683): a learned number for each head and bucket of distances, added over the axes."""

    buckets: int

    @linen.compact
    def __call__(self, positions: Int[Array, "#b n *a"], heads: int) -> Float[Array, "#b k n n"]:
        if self.buckets < 4 or self.buckets % 2:
            raise UserError(f"relative={self.buckets} buckets of distances; it has to be even and 4 or more")
        if positions.ndim == 2:
            positions = positions[..., None]
        distances = positions[:, None, :] - positions[:, :, None]  # b n n a
        table = self.param("bias", linen.initializers.normal(0.02), (positions.shape[-1], self.buckets, heads))
        found = [table[axis][bucket(distances[..., axis], self.buckets)] for axis in range(positions.shape[-1])]
        return jnp.moveaxis(jnp.asarray(sum(found)), -1, 1)
