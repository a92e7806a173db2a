"""A state whose small arrays lie end to end: 450 of them take the host most of a millisecond to hand to a step.

Every array costs one or two microseconds each time a compiled step is called. Laid end to end, one vector for each kind
of number, the small ones cost next to nothing; inside the step they are cut apart again. Such a step
takes longer to compile (docs/measurements/host.md), so that it is a choice, for runs of many short steps. Large arrays
stay as they are: to copy them would take longer than to hand them over.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.train import compiled, place, sharding

SMALL = 1 << 14  # bytes, which a processor copies in about the time that it takes to hand over an array


class Vectors(flax.struct.PyTreeNode):
    """A ``TrainState`` laid end to end. numbers: the small arrays, by dtype; others: the rest, in the state's order."""

    step: Any
    key: Any
    numbers: dict[str, Any]
    others: list[Any]


class Flat:
    """The way of a state of these shapes into vectors and back, and the step ``function`` over them.

    Both ways go through the host, which needs no program of hundreds of cuts to be compiled.
    """

    def __init__(self, function: Any, shapes: Any, shardings: Any, mesh: jax.sharding.Mesh):
        leaves, self._tree = jax.tree.flatten(_rest(shapes))
        places = jax.tree.leaves(_rest(shardings))
        self._kinds = [_kind(leaf, where) for leaf, where in zip(leaves, places, strict=True)]
        self._mesh, whole = mesh, sharding.replicated(mesh)
        self._shapes, others = self._sorted(leaves)[0], self._sorted(places)[1]
        vectors = Vectors(whole, whole, dict.fromkeys(self._shapes, whole), others)

        def step(vectors: Vectors, batch: Any) -> tuple[Vectors, Any]:
            state, metrics = function(self._state(vectors, self._apart(vectors.numbers, jax.lax.split)), batch)
            small, others = self._sorted(jax.tree.leaves(_rest(state)))
            return Vectors(state.step, state.key, _joined(small, jnp.concatenate), others), metrics

        given = vectors, sharding.batch_sharding(mesh)
        self.step = compiled.jit(step, mesh, donate_argnums=0, in_shardings=given, out_shardings=(vectors, whole))

    def laid(self, state: Any) -> Vectors:
        """The same state end to end."""
        small, others = self._sorted(jax.tree.leaves(_rest(state)))
        numbers = _joined(jax.device_get(small), np.concatenate)
        return Vectors(state.step, state.key, place.whole(numbers, self._mesh), others)

    def cut(self, vectors: Vectors) -> Any:
        """The state that was laid so. What is not small is shared with ``vectors``, until the next step."""
        small = self._apart(jax.device_get(vectors.numbers), _split)
        return self._state(vectors, place.whole(small, self._mesh))

    def _sorted(self, leaves: Sequence[Any]) -> tuple[dict[str, list[Any]], list[Any]]:
        """Of something for each leaf of the state: that of the small ones, by kind, and of the others."""
        small: dict[str, list[Any]] = {kind: [] for kind in sorted(kind for kind in {*self._kinds} if kind is not None)}
        others: list[Any] = []
        for leaf, kind in zip(leaves, self._kinds, strict=True):
            (others if kind is None else small[kind]).append(leaf)
        return small, others

    def _apart(self, numbers: dict[str, Any], split: Callable[[Any, list[int]], Any]) -> dict[str, list[Any]]:
        parts = {}
        for kind, leaves in self._shapes.items():
            pieces = split(numbers[kind], [leaf.size for leaf in leaves])
            parts[kind] = [piece.reshape(leaf.shape) for piece, leaf in zip(pieces, leaves, strict=True)]
        return parts

    def _state(self, vectors: Vectors, small: dict[str, list[Any]]) -> Any:
        given, others = {kind: iter(parts) for kind, parts in small.items()}, iter(vectors.others)
        leaves = [next(others if kind is None else given[kind]) for kind in self._kinds]
        return jax.tree.unflatten(self._tree, leaves).replace(step=vectors.step, key=vectors.key)


class Whole:
    """The state as it is."""

    def __init__(self, step: Any):
        self.step = step

    def laid(self, state: Any) -> Any:
        return state

    def cut(self, state: Any) -> Any:
        return state


def made(prepared: Any) -> Flat | Whole:
    """How a prepared run holds its state between steps."""
    if not prepared.experiment.run.flat:
        return Whole(prepared.step)
    return Flat(prepared.function, prepared.shapes, prepared.shardings, prepared.mesh)


def _rest(state: Any) -> Any:
    """All but the step's number and the key, which stay by themselves."""
    return state.replace(step=None, key=None)


def _kind(leaf: Any, where: jax.sharding.Sharding) -> str | None:
    """The vector that a leaf lies in: its dtype's; none, where it is large, or in parts, or no numbers."""
    plain = not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    small = plain and leaf.size * leaf.dtype.itemsize <= SMALL and where.is_fully_replicated
    return leaf.dtype.name if small else None


def _joined(small: dict[str, list[Any]], concatenate: Callable[[Any], Any]) -> dict[str, Any]:
    return {kind: concatenate([leaf.reshape(-1) for leaf in leaves]) for kind, leaves in small.items()}


def _split(array: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Copies, so that nothing looks into the vectors, which the next step is given to write to."""
    return [piece.copy() for piece in np.split(array, np.cumsum(sizes)[:-1])]
