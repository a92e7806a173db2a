"""Losses that compare the rows of a batch with one another, where these lie on many devices."""

from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import PartitionSpec

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
