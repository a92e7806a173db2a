"""Losses whose rows lie on many devices: those that compare them with one another, and those that go piece by piece."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.core import Batch, Mean, Outputs
from mmjax.train.sharding import ROWS, AnyMesh, rows


@dataclass(frozen=True)
class Ring:
    """The devices among which the rows of a batch are shared, as ``objectives.pairwise`` goes round them."""

    mesh: AnyMesh
    axes: tuple[str, ...] = ROWS

    @property
    def parts(self) -> int:
        """How many share the rows."""
        return rows(self.mesh)

    def mapped(self, local: Any, given: tuple[bool, ...], out: tuple[bool, ...]) -> Any:
        """``local``, run by each device on its own rows (True) and on what all have alike (False)."""
        inward, outward = (tuple(PartitionSpec(ROWS) if rows else PartitionSpec() for rows in f) for f in (given, out))
        # Axes that split no rows carry copies, which check_vma would want to see proved equal.
        return jax.shard_map(local, mesh=self.mesh, in_specs=inward, out_specs=outward, check_vma=False)


@dataclass(frozen=True)
class Shares:
    """What each device has of the rows of a batch and, with context, of their places, as ``objectives.chunked`` asks.

    It stands under a first axis that all of these axes of the mesh split, and what every device reads is copied along
    it. So what a loop adds up stays on its device, and one sum at the end brings it together.
    """

    mesh: AnyMesh
    parts: tuple[int, ...] = ()  # of rows, and of places

    def of(self, shape: tuple[int, ...]) -> "Shares | None":
        """The shares of rows ``b`` or ``b n ...``; None where they do not come out even."""
        parts = (rows(self.mesh), self.mesh.shape["context"])[: len(shape)]
        even = all(size % many == 0 for size, many in zip(shape, parts, strict=False))
        return Shares(self.mesh, parts) if even else None

    def cut(self, array: jax.Array) -> jax.Array:
        """``b n ...`` as ``s b/r n/c ...``, where s = r c."""
        axes = len(self.parts)
        shape = [part for size, many in zip(array.shape, self.parts, strict=False) for part in (many, size // many)]
        array = array.reshape(*shape, *array.shape[axes:])
        array = jnp.moveaxis(array, 2, 1) if axes > 1 else array
        return self._placed(array.reshape(-1, *array.shape[axes:]))

    def joined(self, array: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """What was cut, as it was: ``shape``."""
        array = array.reshape(*self.parts, *array.shape[1:])
        return (jnp.moveaxis(array, 1, 2) if len(self.parts) > 1 else array).reshape(shape)

    def copied(self, array: jax.Array) -> jax.Array:
        """The array for every share, ``s ...``."""
        return self._placed(jnp.broadcast_to(array, (math.prod(self.parts), *array.shape)))

    def summed(self, array: jax.Array) -> jax.Array:
        """What all shares have, added up."""
        return jnp.sum(self._placed(array), axis=0)

    def _placed(self, array: jax.Array) -> jax.Array:
        over = (*ROWS, "context") if len(self.parts) > 1 else ROWS
        place = PartitionSpec(over, *[PartitionSpec.UNCONSTRAINED] * (array.ndim - 1))
        return jax.lax.with_sharding_constraint(array, NamedSharding(self.mesh, place))


@dataclass(frozen=True)
class Spread:
    """An objective that is told where the rows lie; otherwise as it is."""

    objective: Any
    ring: Ring

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        return self.objective(outputs, batch, across=self.ring)


def spread(objective: Any, mesh: AnyMesh) -> Any:
    """The objective as it is on this mesh."""
    compares = getattr(objective, "compares", False) and rows(mesh) > 1
    return Spread(objective, Ring(mesh)) if compares else objective
