"""Where parameters and batches live: a mesh of named axes and ordered rules on parameter paths."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import optax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from mmjax.core import UserError, trees
from mmjax.train import slices
from mmjax.train.state import TrainState

Rule = tuple[str, tuple[str | None, ...]]
AnyMesh = jax.sharding.Mesh | AbstractMesh

# From the slowest wires to the fastest: gradients meet once a step, a block's hidden units twice a block.
AXES = ("data", "pipe", "fsdp", "expert", "context", "tensor")
ROWS = ("data", "fsdp", "expert")  # what splits the rows of a batch

# Megatron's split (Shoeybi et al., 2019, arXiv:1909.08053): attention by heads, the MLP by its
# hidden units, so that a block needs one sum on the way out of each. Experts lie apart, each split as an MLP is.
# The kernel that says words is split by them, so that each device has the logits of its own; vocabularies are as large
# as the data has them, so that one that does not divide stays whole ("?").
# The first rule that is found in a path wins; a spec is for the last axes of an array (scanned layers stand in front).
RULES: tuple[Rule, ...] = (
    (r"experts/(up|gate)/kernel$", ("expert", None, "tensor")),
    (r"experts/(up|gate)/bias$", ("expert", "tensor")),
    (r"experts/down/kernel$", ("expert", "tensor", None)),
    (r"experts/down/bias$", ("expert", None)),
    (r"(query|key|value)/kernel$", (None, "tensor", None)),
    (r"(query|key|value)/bias$", ("tensor", None)),
    (r"out/kernel$", ("tensor", None, None)),
    (r"(up|gate)/kernel$", (None, "tensor")),
    (r"(up|gate)/bias$", ("tensor",)),
    (r"down/kernel$", ("tensor", None)),
    (r"^heads?(_[^/]+)?/kernel$|(^|/)word_kernel$", (None, "tensor?")),
    (r"^(decoder/)?embed/embedding$", ("tensor?", None)),  # of a decoder alone, where it may be what says words, too
)
# Layers of a scanned trunk are stacked along the first axis of its arrays, which a pipeline shares out.
SCANNED = re.compile(r"(^|/)blocks/")


@dataclass(frozen=True)
class Mesh:
    """Devices as ``data x pipe x fsdp x expert x context x tensor``; -1 takes what is left.

    ======= =====================================================================================================
    data    splits the rows of a batch
    fsdp    splits rows too, and along its largest free axis every array of ``fsdp_size`` numbers a device or more
    expert  splits rows too, and the experts of mixture layers, to which the rows' tokens travel
    context splits the tokens of a row; attention meets the others' by way of ``exchange``
    tensor  splits heads and hidden units
    pipe    splits the layers of scanned trunks, through which the rows go in ``pieces`` (0: two a stage)
    ======= =====================================================================================================

    exchange: "ring" (keys and values go round; Liu et al., 2023, https://arxiv.org/abs/2310.01889) or "heads" (all
    tokens of some heads come together; Jacobs et al., 2023, https://arxiv.org/abs/2309.14509). slices: groups of
    devices with slow wires between, over which ``data`` is spread; 0 for what the devices say of themselves.

    attention: plain, or the kernel of the devices' maker, cudnn or splash, wherever it fits (``train.kernel``).

    gather: layers bring their kernels together from so many devices of ``fsdp`` at a time, in steps, as from those of
    one machine and then from all machines; 1 for all at once, 0 for what is best for the devices (``train.fsdp``).

    rules and activations: ordered pairs of a regular expression and a spec, tried before the house's own: for arrays
    by the paths of parameters, and for what layers give by the paths of layers (``train.activation``). An axis of a
    spec may be several, as ``data+fsdp``; one of parameters with a ``?`` behind it splits where it divides. A rule
    that matches nothing is an error.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    fsdp_size: int = 1024
    rules: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    context: int = 1
    expert: int = 1
    pipe: int = 1
    exchange: str = "ring"
    pieces: int = 0
    slices: int = 0
    activations: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    attention: str = "plain"
    gather: int = 0

    def build(self, devices: Sequence[Any] | None = None) -> jax.sharding.Mesh:
        """The mesh over ``devices`` (all of them by default). Raises UserError where they do not fit."""
        devices = list(jax.devices() if devices is None else devices)
        shape = self._shape(len(devices))
        placed = slices.arranged(devices, shape, slices=self.slices, across=AXES.index("data"))
        return jax.sharding.Mesh(placed, AXES, axis_types=(AxisType.Auto,) * len(AXES))

    def abstract(self, devices: int) -> AbstractMesh:
        """The mesh of so many devices that need not be there. Raises UserError where they do not fit."""
        return AbstractMesh(self._shape(devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))

    def _shape(self, devices: int) -> tuple[int, ...]:
        if self.exchange not in ("ring", "heads"):
            raise UserError(f"mesh.exchange={self.exchange!r} must be 'ring' or 'heads'")
        if self.gather < 0:
            raise UserError(f"mesh.gather={self.gather} must be 0 or a number of devices")
        sizes = {axis: getattr(self, axis) for axis in AXES}
        named = " ".join(f"{axis}={size}" for axis, size in sizes.items() if size != 1) or "data=1"
        if list(sizes.values()).count(-1) > 1 or any(n == 0 or n < -1 for n in sizes.values()):
            raise UserError(f"mesh {named} needs positive sizes, and -1 at most once")
        known = math.prod(n for n in sizes.values() if n != -1)
        shape = tuple(max(devices // known, 1) if n == -1 else n for n in sizes.values())
        if math.prod(shape) != devices:
            raise UserError(f"mesh {named} wants {math.prod(shape)} devices, but there are {devices}")
        return shape


def single() -> jax.sharding.Mesh:
    """The mesh of one device, the first here."""
    return Mesh(data=1).build(jax.local_devices()[:1])


def aside() -> Any:
    """A context of that mesh, whatever other is at work around it."""
    return jax.set_mesh(single())


def rows(mesh: AnyMesh) -> int:
    """Into how many parts the rows of a batch go."""
    return math.prod(mesh.shape[axis] for axis in ROWS)


def batch_sharding(mesh: AnyMesh) -> NamedSharding:
    """Rows over data, fsdp and expert."""
    return NamedSharding(mesh, PartitionSpec(ROWS))


def replicated(mesh: AnyMesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def stacked(place: NamedSharding) -> NamedSharding:
    """Where several such arrays live that are stacked along a first axis of their own."""
    return NamedSharding(place.mesh, PartitionSpec(None, *place.spec))


def specs(params: Any, mesh: AnyMesh, settings: Mesh) -> Any:
    """A PartitionSpec for each leaf of ``params`` (arrays or their shapes)."""
    paths = trees.flatten(params)
    for pattern, _ in settings.rules:
        if not any(re.search(pattern, path) for path in paths):
            raise UserError(f"mesh rule {pattern!r} matches no parameter; `mmjax show` lists their paths")
    return trees.map_paths(lambda path, leaf: _spec(path, leaf.shape, mesh, settings), params)


def state_shardings(
    state: TrainState, optimizer: optax.GradientTransformation, mesh: AnyMesh, settings: Mesh
) -> TrainState:
    """A sharding for each leaf of ``state`` (shapes); moments live where their parameters do."""
    params = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs(state.params, mesh, settings))
    whole = replicated(mesh)

    def own(moment: Any, sharding: NamedSharding, parameter: Any) -> NamedSharding | None:  # none of what is frozen
        return None if moment is None else _moment(moment.shape, sharding, parameter.shape, mesh, settings)

    moments = optax.tree_map_params(
        optimizer,
        own,
        state.opt_state,
        params,
        state.params,
        transform_non_params=lambda _: whole,
        is_leaf=lambda moment: moment is None,
    )
    variables = jax.tree.map(lambda _: whole, state.variables)
    return TrainState(whole, params, variables, moments, whole)


def inner(path: str, shape: tuple[int, ...], mesh: AnyMesh, settings: Mesh) -> PartitionSpec:
    """The spec of a parameter as its layer meets it: where layers are scanned, without the axis of layers."""
    if not SCANNED.search(path):
        return _spec(path, shape, mesh, settings)
    layers = math.prod(mesh.shape.values())  # so many as whatever splits them divides
    return PartitionSpec(*_spec(path, (layers, *shape), mesh, settings)[1:])


def axes_of(word: str | None, mesh: AnyMesh, *, of: str) -> tuple[str, ...]:
    """The mesh's axes that a word of a spec names. UserError for one that the mesh has not."""
    found = tuple(word.split("+")) if word else ()
    for axis in found:
        if axis not in mesh.shape:
            raise UserError(f"mesh rule for {of} names axis {axis!r}; the mesh has {', '.join(mesh.shape)}")
    return found


def size(axes: Sequence[str], mesh: AnyMesh) -> int:
    """Over how many devices these axes go."""
    return math.prod(mesh.shape[axis] for axis in axes)


def entry(axes: tuple[str, ...]) -> Any:
    """Axes as a PartitionSpec has them."""
    return axes if len(axes) > 1 else axes[0] if axes else None


def _spec(path: str, shape: tuple[int, ...], mesh: AnyMesh, settings: Mesh) -> PartitionSpec:
    rule = next((spec for pattern, spec in (*settings.rules, *RULES) if re.search(pattern, path)), ())
    if len(rule) > len(shape):
        raise UserError(f"mesh rule {rule} has more axes than {path} {shape}")
    own = zip(shape[len(shape) - len(rule) :], rule, strict=True)
    axes = [()] * (len(shape) - len(rule)) + [_over(n, word, mesh, of=path) for n, word in own]
    scanned = bool(SCANNED.search(path))
    layers = scanned and len(axes) > len(rule)
    if layers and mesh.shape["pipe"] > 1:
        axes[0] = ("pipe",)
    for n, over in zip(shape, axes, strict=True):
        if n % size(over, mesh):
            sizes = " x ".join(f"mesh.{axis}={mesh.shape[axis]}" for axis in over)
            raise UserError(f"{path} {shape}: {n} does not divide by {sizes}")
    # Never along the layers of a scan: each turn of it would have to gather its own from everywhere.
    free = [i for i, over in enumerate(axes) if not over and i >= layers and shape[i] % mesh.shape["fsdp"] == 0]
    taken = any("fsdp" in over for over in axes)
    large = math.prod(shape[scanned:]) >= settings.fsdp_size * mesh.shape["fsdp"]
    if mesh.shape["fsdp"] > 1 and not taken and free and large:
        axes[max(free, key=lambda i: shape[i])] = ("fsdp",)
    return PartitionSpec(*map(entry, axes))


def _over(n: int, word: str | None, mesh: AnyMesh, *, of: str) -> tuple[str, ...]:
    """The axes that split ``n`` places; those of a word that ends in "?" do where they divide them."""
    over = axes_of(word.removesuffix("?") if word else None, mesh, of=of)
    return () if word and word.endswith("?") and n % size(over, mesh) else over


def _moment(
    shape: tuple[int, ...], own: NamedSharding, parameter: tuple[int, ...], mesh: AnyMesh, settings: Mesh
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
