"""What a mesh does not do for a model, told before the first step."""

import math
from typing import Any

from mmjax.core import trees
from mmjax.train.activation import Placed
from mmjax.train.sharding import AnyMesh
from mmjax.train.state import TrainState

_LARGE = 2**24  # bytes of an array that a device should not hold whole where it can be helped
_SHOWN = 5


def notes(shapes: TrainState, shardings: TrainState, mesh: AnyMesh, model: Placed) -> list[str]:
    """A line for each axis that splits nothing, large array that every device holds whole, and layer left unsplit."""
    places = trees.flatten(shardings.params)
    split = {axis for place in places.values() for axis in _axes(place.spec)}
    split |= {
        axis for given in model.placed.values() for _, place in given for axis in _axes(place.spec) if axis == "context"
    }
    lines = [_idle(axis, mesh.shape[axis]) for axis in _SPLITS if mesh.shape[axis] > 1 and axis not in split]
    if any(mesh.shape[axis] > 1 for axis in _SPLITS):
        leaves = {
            path: leaf for path, leaf in trees.flatten(shapes.params).items() if not any(_axes(places[path].spec))
        }
        sizes = {path: math.prod(leaf.shape) * leaf.dtype.itemsize for path, leaf in leaves.items()}
        large = sorted((path for path in sizes if sizes[path] >= _LARGE), key=sizes.__getitem__, reverse=True)
        lines += [
            f"{path} {leaves[path].shape} lies whole on every device, {sizes[path] >> 20} MB; name it in mesh.rules"
            for path in large[:_SHOWN]
        ]
        lines += [f"... and {len(large) - _SHOWN} more such arrays"] if len(large) > _SHOWN else []
    return lines + _unsplit(model)


_SPLITS = {
    "fsdp": "no array is large enough for mesh.fsdp_size, or none divides; each device holds all parameters",
    "tensor": "no rule of it matches a parameter; those devices repeat each other's work",
    "context": "no layer gives rows of so many tokens; those devices repeat each other's work",
    "expert": "the model has no mixture layer; it only splits rows, as mesh.data does",
    "pipe": "the model has no scanned trunk (scan=True); those devices repeat each other's work",
}


def _idle(axis: str, size: int) -> str:
    return f"mesh.{axis}={size} splits nothing: {_SPLITS[axis]}"


def _unsplit(model: Placed) -> list[str]:
    """Layers that an axis was meant to split, and that have fewer places than it has devices."""
    found: dict[tuple[str, int], list[str]] = {}
    for path, given in model.left.items():
        for word, size in sorted(given):
            if size > 1:  # what is there once for all rows, as positions are, is nobody's to split
                found.setdefault((word, size), []).append(path)
    return [
        f"{len(paths)} layers with {size} places are not split over {word}, as {paths[0]}"
        for (word, size), paths in found.items()
    ]


def axes(spec: Any) -> list[tuple[str, ...]]:
    """The mesh's axes that split each axis of an array."""
    return [entry if isinstance(entry, tuple) else (entry,) if entry else () for entry in spec]


def _axes(spec: Any) -> list[str]:
    return [axis for over in axes(spec) for axis in over]
