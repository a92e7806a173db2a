"""A state whose small parameters lie end to end: 450 arrays take the host most of a millisecond to hand to a step.

Every array costs one or two microseconds each time a compiled step is called, and loops of its own in the optimizer.
Laid end to end, small parameters that an optimizer treats alike are one vector, and so are their moments. The step cuts
the parameters apart for the model, their gradient comes out end to end, and the optimizer need not know. So less is
handed over, and less compiled (docs/measurements/host.md). Large parameters stay as they are: to copy them would take
longer than to hand them over.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.train import compiled, frozen, place, sharding
from mmjax.train.optim import Optim
from mmjax.train.state import TrainState

SMALL = 1 << 15  # bytes, which a processor copies in about the time that it takes to hand over an array's three

Joined = Callable[[list[Any]], Any]
Parted = Callable[[Any, list[tuple[int, ...]]], Sequence[Any]]


def parted(vector: jax.Array, shapes: list[tuple[int, ...]]) -> list[jax.Array]:
    """The arrays of these shapes that lie end to end."""
    pieces = jax.lax.split(vector, list(map(math.prod, shapes)))
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


class Layout:
    """Which of the leaves of ``params`` (shapes) lie end to end: those of one kind, where there are several.

    kinds: of each leaf; "" for one that stays as it is. still: patterns of those that the optimizer passes over
    (``train.frozen``). Where a tree is laid so, the vector stands in the place of its first leaf, whose path says of
    all of them what an optimizer asks, and in the others' places stands nothing (None, which trees pass over).
    """

    def __init__(self, params: Any, kinds: Sequence[str], still: tuple[str, ...] = ()):
        leaves, self._tree = jax.tree.flatten(params)
        found: dict[str, list[int]] = {}
        for i, kind in enumerate(kinds):
            found.setdefault(kind, []).append(i)
        self._groups = [places for kind, places in found.items() if kind and len(places) > 1]
        self._shapes = [[leaves[i].shape for i in places] for places in self._groups]
        self._apart = _structures(params, still)
        self._ends = _structures(self._laid(params, lambda leaves: leaves[0]), still)

    def laid(self, tree: Any, joined: Joined) -> Any:
        """The tree with all that is like the parameters, as their moments are, end to end."""
        return self._changed(tree, self._apart, lambda part: self._laid(part, joined))

    def cut(self, tree: Any, parted: Parted = parted) -> Any:
        """The tree that was laid so."""
        return self._changed(tree, self._ends, lambda part: self._cut(part, parted))

    def _changed(self, tree: Any, structures: Sequence[Any], change: Callable[[Any], Any]) -> Any:
        """The tree with a change to all that has one of these structures."""
        if not self._groups:
            return tree

        def own(part: Any) -> bool:
            return jax.tree.structure(part) in structures

        return jax.tree.map(lambda part: change(part) if own(part) else part, tree, is_leaf=own)

    def _laid(self, tree: Any, joined: Joined) -> Any:
        leaves = self._tree.flatten_up_to(tree)
        for places in self._groups:
            given = [leaves[i] for i in places]
            for i in places:
                leaves[i] = None
            leaves[places[0]] = None if given[0] is None else joined(given)
        return jax.tree.unflatten(self._tree, leaves)

    def _cut(self, tree: Any, parted: Parted) -> Any:
        leaves = self._tree.flatten_up_to(tree)
        for places, shapes in zip(self._groups, self._shapes, strict=True):
            if leaves[places[0]] is None:  # frozen ones have no moments
                continue
            for i, leaf in zip(places, parted(leaves[places[0]], shapes), strict=True):
                leaves[i] = leaf
        return jax.tree.unflatten(self._tree, leaves)


class Leaves(flax.struct.PyTreeNode):
    """A state as it is laid, without its tree, which takes as long to take apart as arrays take to hand over."""

    step: Any
    rest: list[Any]


class Held:
    """How a run holds its state between steps, and the step over it: of ``function``, which knows of the layout.

    shapes: of what is held. What comes in and goes out is a state of the usual form, and goes through the host, which
    needs no program of hundreds of cuts to be compiled. What is not laid is shared with what is held, until the next
    step.
    """

    def __init__(self, layout: Layout, function: Any, shapes: TrainState, shardings: TrainState,
                 mesh: jax.sharding.Mesh):  # fmt: skip
        self._layout, self._mesh = layout, mesh
        laid = _over(shapes, layout.laid, lambda leaves: jax.eval_shape(_end_to_end, leaves))
        self._tree, self.shapes = jax.tree.structure(laid), _leaves(laid)
        places = _leaves(_over(shardings, layout.laid, lambda places: sharding.replicated(mesh)))

        def step(held: Leaves, batch: Any) -> tuple[Leaves, Any]:
            state, metrics = function(self._state(held), batch)
            return _leaves(state), metrics

        self.step = compiled.step(step, places, mesh)

    def laid(self, state: TrainState) -> Leaves:
        """The same state as it is held."""
        return _leaves(_over(state, self._layout.laid, self._joined))

    def cut(self, held: Leaves) -> TrainState:
        """The state that is held so."""
        return _over(self._state(held), self._layout.cut, self._parted)

    def _state(self, held: Leaves) -> TrainState:
        return jax.tree.unflatten(self._tree, [held.step, *held.rest])

    def _joined(self, leaves: list[jax.Array]) -> jax.Array:
        return place.whole(np.concatenate([leaf.reshape(-1) for leaf in jax.device_get(leaves)]), self._mesh)

    def _parted(self, vector: jax.Array, shapes: list[tuple[int, ...]]) -> list[jax.Array]:
        pieces = np.split(jax.device_get(vector), np.cumsum(list(map(math.prod, shapes)))[:-1])
        # Copies, so that nothing looks into the vector, which the next step is given to write to.
        return place.whole([p.reshape(shape).copy() for p, shape in zip(pieces, shapes, strict=True)], self._mesh)


def layout(params: Any, shardings: Any, optim: Optim) -> Layout:
    """Small parameters that every device has whole, by how the optimizer treats them."""
    leaves = zip(*map(jax.tree.leaves, (params, shardings, optim.alike(params))), strict=True)
    return Layout(params, [_kind(leaf, where, alike) for leaf, where, alike in leaves], optim.frozen)


def _kind(leaf: Any, where: jax.sharding.Sharding, alike: str) -> str:
    small = leaf.size * leaf.dtype.itemsize <= SMALL and where.is_fully_replicated
    return f"{leaf.dtype.name} {alike}" if small and alike else ""


def _structures(params: Any, still: tuple[str, ...]) -> list[Any]:
    """Of the parameters, and of those that learn."""
    return [jax.tree.structure(tree) for tree in (params, frozen.learned(still, params))]


def _over(state: TrainState, change: Callable[..., Any], how: Any) -> TrainState:
    """The state with its parameters and their moments changed."""
    return state.replace(params=change(state.params, how), opt_state=change(state.opt_state, how))


def _leaves(state: TrainState) -> Leaves:
    step, *rest = jax.tree.leaves(state)  # in the order of its fields
    return Leaves(step, rest)


def _end_to_end(leaves: list[jax.Array]) -> jax.Array:
    return jnp.concatenate([leaf.reshape(-1) for leaf in leaves])
