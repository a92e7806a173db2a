"""Where parameters and batches live: a mesh of named axes and ordered rules on parameter paths."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mmjax.core import UserError, trees
from mmjax.train.state import TrainState

Rule = tuple[str, tuple[str | None, ...]]

# Megatron's split (Shoeybi et al., 2019, arXiv:1909.08053): attention by heads, the MLP by its
# hidden units, so that a block needs one sum on the way out of each. The first rule that is found
# in a path wins; a spec is for the last axes of an array (scanned layers stand in front).
RULES: tuple[Rule, ...] = (
    (r"(query|key|value)/kernel$", (None, "tensor", None)),
    (r"(query|key|value)/bias$", ("tensor", None)),
    (r"out/kernel$", ("tensor", None, None)),
    (r"(up|gate)/kernel$", (None, "tensor")),
    (r"(up|gate)/bias$", ("tensor",)),
    (r"down/kernel$", ("tensor", None)),
)


@dataclass(frozen=True)
class Mesh:
    """Devices as ``data x fsdp x tensor``; -1 takes what is left.

    data and fsdp split the batch; fsdp also splits every array of at least ``fsdp_size`` numbers
    along its largest free axis; tensor splits heads and hidden units. rules: ordered pairs of a
    regular expression on parameter paths and a spec, tried before the house's own; a rule that
    matches nothing is an error.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    fsdp_size: int = 1024
    rules: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

    def build(self, devices: Sequence[Any] | None = None) -> jax.sharding.Mesh:
        """The mesh over ``devices`` (all of them by default). Raises UserError where they do not fit."""
        devices = list(jax.devices() if devices is None else devices)
        shape = [self.data, self.fsdp, self.tensor]
        if shape.count(-1) > 1 or any(n == 0 or n < -1 for n in shape):
            raise UserError(f"mesh {tuple(shape)} needs positive sizes, and -1 at most once")
        if -1 in shape:
            known = math.prod(n for n in shape if n != -1)
            shape[shape.index(-1)] = max(len(devices) // known, 1)
        if math.prod(shape) != len(devices):
            text = f"data={shape[0]} fsdp={shape[1]} tensor={shape[2]}"
            raise UserError(f"mesh {text} wants {math.prod(shape)} devices, but there are {len(devices)}")
        return jax.make_mesh(tuple(shape), ("data", "fsdp", "tensor"), (AxisType.Auto,) * 3, devices=devices)


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Rows over data and fsdp."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def stacked(place: NamedSharding) -> NamedSharding:
    """Where several such arrays live that are stacked along a first axis of their own."""
    return NamedSharding(place.mesh, PartitionSpec(None, *place.spec))


def specs(params: Any, mesh: jax.sharding.Mesh, settings: Mesh) -> Any:
    """A PartitionSpec for each leaf of ``params`` (arrays or their shapes)."""
    paths = trees.flatten(params)
    for pattern, _ in settings.rules:
        if not any(re.search(pattern, path) for path in paths):
            raise UserError(f"mesh rule {pattern!r} matches no parameter; `mmjax show` lists their paths")
    return trees.map_paths(lambda path, leaf: _spec(path, leaf.shape, mesh, settings), params)


def state_shardings(
    state: TrainState, optimizer: optax.GradientTransformation, mesh: jax.sharding.Mesh, settings: Mesh
) -> TrainState:
    """A sharding for each leaf of ``state`` (shapes); moments live where their parameters do."""
    params = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs(state.params, mesh, settings))
    whole = replicated(mesh)
    moments = optax.tree_map_params(
        optimizer,
        lambda moment, sharding, parameter: _moment(moment.shape, sharding, parameter.shape, mesh, settings),
        state.opt_state,
        params,
        state.params,
        transform_non_params=lambda _: whole,
    )
    variables = jax.tree.map(lambda _: whole, state.variables)
    return TrainState(whole, params, variables, moments, whole)


def _moment(
    shape: tuple[int, ...],
    own: NamedSharding,
    parameter: tuple[int, ...],
    mesh: jax.sharding.Mesh,
    settings: Mesh,
) -> NamedSharding:
    """Where a moment lives: with its parameter; one without some of its axes (as a mean over them) keeps the others'.

    One of another shape altogether, as a block of 8-bit numbers, is split over fsdp alone.
    """
    if shape == parameter:
        return own
    spec = list(own.spec) + [None] * (len(parameter) - len(own.spec))
    for gone in range(len(parameter)):
        if shape == (*parameter[:gone], *parameter[gone + 1 :]):
            return NamedSharding(mesh, PartitionSpec(*spec[:gone], *spec[gone + 1 :]))
    return NamedSharding(mesh, _spec("", shape, mesh, settings))


def _spec(path: str, shape: tuple[int, ...], mesh: jax.sharding.Mesh, settings: Mesh) -> PartitionSpec:
    rule = next((spec for pattern, spec in (*settings.rules, *RULES) if re.search(pattern, path)), ())
    if len(rule) > len(shape):
        raise UserError(f"mesh rule {rule} has more axes than {path} {shape}")
    axes: list[str | None] = [None] * (len(shape) - len(rule)) + list(rule)
    for size, axis in zip(shape, axes, strict=True):
        if axis is not None and axis not in mesh.shape:
            raise UserError(f"mesh rule for {path} names axis {axis!r}; the mesh has {', '.join(mesh.shape)}")
        if axis is not None and size % mesh.shape[axis]:
            raise UserError(f"{path} {shape}: {size} does not divide by mesh.{axis}={mesh.shape[axis]}")
    free = [i for i, axis in enumerate(axes) if axis is None and shape[i] % mesh.shape["fsdp"] == 0]
    if mesh.shape["fsdp"] > 1 and "fsdp" not in axes and free and math.prod(shape) >= settings.fsdp_size:
        axes[max(free, key=lambda i: shape[i])] = "fsdp"
    return PartitionSpec(*axes)
