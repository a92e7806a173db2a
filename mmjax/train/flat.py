"""A state in a few long arrays: a step of 450 small ones takes the host longer to begin than many a device to do.

Every array costs about a microsecond each time a compiled step is called. Laid end to end, one vector for each kind
of number, they cost next to nothing; inside the step they are cut apart again, which the compiler sees through.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import UserError
from mmjax.train import compiled, sharding


class Vectors(flax.struct.PyTreeNode):
    """A ``TrainState`` laid end to end. numbers: by dtype."""

    step: Any
    key: Any
    numbers: dict[str, Any]


class Flat:
    """The way of a state of these shapes into vectors and back, and the step ``function`` over them."""

    def __init__(self, function: Any, shapes: Any, shardings: Any, mesh: jax.sharding.Mesh):
        leaves, self._tree = jax.tree.flatten(shapes.replace(step=None, key=None))
        self._shapes = [leaf.shape for leaf in leaves]
        self._kinds = [leaf.dtype.name for leaf in leaves]
        whole = sharding.replicated(mesh)

        def step(vectors: Vectors, batch: Any) -> tuple[Vectors, Any]:
            state, metrics = function(self._cut(vectors), batch)
            return self._laid(state), metrics

        batches = sharding.batch_sharding(mesh)
        self.step = compiled.jit(step, mesh, donate_argnums=0, in_shardings=(whole, batches), out_shardings=whole)
        self.laid = jax.jit(self._laid, out_shardings=whole)
        self.cut = jax.jit(self._cut, out_shardings=shardings)

    def _laid(self, state: Any) -> Vectors:
        leaves = jax.tree.leaves(state.replace(step=None, key=None))
        numbers = {}
        for kind in sorted(set(self._kinds)):
            parts = [leaf.reshape(-1) for leaf, of in zip(leaves, self._kinds, strict=True) if of == kind]
            numbers[kind] = jnp.concatenate(parts)
        return Vectors(state.step, state.key, numbers)

    def _cut(self, vectors: Vectors) -> Any:
        begun, leaves = dict.fromkeys(vectors.numbers, 0), []
        for shape, kind in zip(self._shapes, self._kinds, strict=True):
            start, size = begun[kind], int(np.prod(shape))
            leaves.append(vectors.numbers[kind][start : start + size].reshape(shape))
            begun[kind] = start + size
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


def check(shardings: Any) -> None:
    """Raises UserError where devices hold parts of the state: these can't lie end to end."""
    if not all(place.is_fully_replicated for place in jax.tree.leaves(shardings)):
        raise UserError("run.flat is for a state that each device holds whole; set it to False or mesh.* to data alone")
