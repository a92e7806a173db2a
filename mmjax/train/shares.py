"""What each device has of a batch and of a parameter, and how these come together."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.train import sharding
from mmjax.train.sharding import ROWS, AnyMesh, Mesh

_TOGETHER, _FEW = 16, 32  # chips of a step, and chips that libtpu gathers over as they are


@dataclasses.dataclass(frozen=True)
class Shares:
    """What each device has of the rows of a batch and, with context, of their places.

    It stands under a first axis that all of these axes of the mesh split, and what every device reads is copied along
    it. So what a loop or a layer adds up stays on its device, and one sum at the end brings it together. path: of the
    parameter that is read, by which rules say how devices share it.
    """

    mesh: AnyMesh
    settings: Mesh
    path: str
    parts: tuple[int, ...] = ()  # of rows, and of places

    def of(self, shape: tuple[int, ...]) -> "Shares | None":
        """The shares of rows ``b`` or ``b n ...``; None where they do not come out even."""
        many, places = sharding.rows(self.mesh), self.mesh.shape["context"]
        if shape[0] % many:
            return None
        even = len(shape) > 1 and shape[1] % places == 0
        return dataclasses.replace(self, parts=(many, places) if even else (many,))

    def splits(self, shape: tuple[int, ...]) -> bool:
        """Whether devices of ``fsdp`` share a parameter of this shape, in a way that goes by hand."""
        spec = self._spec(shape)
        return "fsdp" in spec and self._apart(spec)

    def cut(self, array: jax.Array) -> jax.Array:
        """``b n ...`` as ``s b/r n/c ...``, where s = r c."""
        axes = len(self.parts)
        shape = [part for size, many in zip(array.shape, self.parts, strict=False) for part in (many, size // many)]
        array = array.reshape(*shape, *array.shape[axes:])
        array = jnp.moveaxis(array, 2, 1) if axes > 1 else array
        return self.each(array.reshape(-1, *array.shape[axes:]))

    def joined(self, array: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """What was cut, as it was: ``shape``."""
        array = array.reshape(*self.parts, *array.shape[1:])
        return (jnp.moveaxis(array, 1, 2) if len(self.parts) > 1 else array).reshape(shape)

    def whole(self, array: jax.Array) -> jax.Array:
        """A parameter with the parts of all devices of ``fsdp``, which meet in steps."""
        spec = self._spec(array.shape)
        if not self.splits(array.shape):
            return array
        axis, meetings = spec.index("fsdp"), _meetings(steps(self.mesh, self.settings))

        def local(part: jax.Array) -> jax.Array:
            for devices in meetings:
                part = jax.lax.all_gather(part, "fsdp", axis=axis, tiled=True, axis_index_groups=devices)
            return part

        out = _without(spec, "fsdp")
        return jax.shard_map(local, mesh=self.mesh, in_specs=spec, out_specs=out, check_vma=False)(array)

    def copied(self, array: jax.Array) -> jax.Array:
        """The whole parameter for every share, ``s ...``; what comes back is ``summed``."""
        return _copied(self, array)

    def summed(self, array: jax.Array) -> jax.Array:
        """What all shares have of a parameter's gradient, ``s ...``, added up where each part of it lives."""
        spec, over = self._spec(array.shape[1:]), self._over
        if not self._apart(spec):
            return self.placed(jnp.sum(self.each(array), axis=0))
        scattered = "fsdp" in spec

        def local(own: jax.Array) -> jax.Array:
            own = _scattered(own[0], "fsdp", spec.index("fsdp")) if scattered else own[0]
            return jax.lax.psum(own, [axis for axis in over if axis != "fsdp" or not scattered])

        given = PartitionSpec(over, *_without(spec, "fsdp"))
        return jax.shard_map(local, mesh=self.mesh, in_specs=given, out_specs=spec, check_vma=False)(array)

    def placed(self, array: jax.Array) -> jax.Array:
        """A parameter or its gradient where it lives."""
        return jax.lax.with_sharding_constraint(array, NamedSharding(self.mesh, self._spec(array.shape)))

    def each(self, array: jax.Array) -> jax.Array:
        """``s ...`` with the part of every share on its device."""
        place = PartitionSpec(self._over, *[PartitionSpec.UNCONSTRAINED] * (array.ndim - 1))
        return jax.lax.with_sharding_constraint(array, NamedSharding(self.mesh, place))

    def _apart(self, spec: PartitionSpec) -> bool:
        """Whether no axis that splits rows or places splits the parameter too, but ``fsdp`` by itself."""
        words = [over for over in spec if over not in (None, "fsdp")]
        named = {axis for over in words for axis in (over if isinstance(over, tuple) else (over,))}
        return not named & {*ROWS, "context"}

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        return sharding.inner(self.path, shape, self.mesh, self.settings)

    @property
    def _over(self) -> tuple[str, ...]:
        return (*ROWS, "context") if len(self.parts) > 1 else ROWS


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _copied(shares: Shares, array: jax.Array) -> jax.Array:
    return shares.each(jnp.broadcast_to(shares.whole(array), (math.prod(shares.parts), *array.shape)))


_copied.defvjp(lambda shares, array: (_copied(shares, array), None), lambda shares, _, given: (shares.summed(given),))


def steps(mesh: AnyMesh, settings: Mesh) -> tuple[int, ...]:
    """How many devices of ``fsdp`` meet in each step of a gather, neighbours first."""
    many, most, found = mesh.shape["fsdp"], settings.gather or _best(mesh), []
    while many > most > 1:
        found.append(max(n for n in range(1, most + 1) if many % n == 0))
        if found[-1] == 1:  # what is left has no such part
            return (mesh.shape["fsdp"],)
        many //= found[-1]
    return (*found, many)


def _best(mesh: AnyMesh) -> int:
    tpu = isinstance(mesh, jax.sharding.Mesh) and mesh.devices.flat[0].platform == "tpu"
    return _TOGETHER if tpu and mesh.shape["fsdp"] > _FEW else 0


def _meetings(steps: tuple[int, ...]) -> list[list[list[int]] | None]:
    """Who meets in each step: neighbours, then those who have what all neighbours lack; None for all at once."""
    if len(steps) == 1:
        return [None]
    found, near = [], 1
    for many in steps:
        starts = [first + at for first in range(0, math.prod(steps), near * many) for at in range(near)]
        found.append([[start + near * turn for turn in range(many)] for start in starts])
        near *= many
    return found


def _scattered(array: jax.Array, over: str, axis: int) -> jax.Array:
    """The sum over devices, cut along an axis. It goes first, all others as one: libtpu scatters no others surely."""
    array = jnp.moveaxis(array, axis, 0)
    rows = with_layout_constraint(array.reshape(len(array), -1), Layout((0, 1)))
    parts = jax.lax.psum_scatter(rows, over, scatter_dimension=0, tiled=True)
    return jnp.moveaxis(parts.reshape(len(parts), *array.shape[1:]), 0, axis)


def _without(spec: PartitionSpec, axis: str) -> PartitionSpec:
    return PartitionSpec(*(None if over == axis else over for over in spec))
