"""Products with kernels in eight bits while a model trains: qwix's arithmetic, put in place from outside of layers."""

import contextlib
import functools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from mmjax.core import UserError
from mmjax.train import dense, frozen

TYPES = ("int8", "float8_e4m3fn", "float8_e5m2")
_HELD = (2**31 - 1) // 127**2  # products of the largest numbers of int8 that an int32 holds
# ((axes of one that are summed over, of the other), (axes that both have, of the other)), as jax.lax.dot_general's
Dims = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True)
class Quantized:
    """What a training step rounds to eight bits before it multiplies; ``""`` leaves a product as it is.

    A layer with a kernel has three products. forward: what goes in times the kernel; nothing is rounded without it.
    backward: what comes back times the kernel. kernels: what comes back times what went in, the kernel's own gradient,
    which asks for most care. Each is ``int8``, ``float8_e4m3fn`` or ``float8_e5m2``, and int8 goes with int8 alone.
    where: regular expressions, one of which has to be found in a layer's path; the first and the last layers of a model
    and routers of experts are best left as they are.

    Each row of an operand, along what a product sums over, has a scale of its own, which makes its largest number the
    type's largest; sums are in int32 or float32, and gradients pass through roundings as if there were none. An int32
    holds 133,144 of int8's largest products, so a kernel's gradient from more tokens at once, those of all devices
    together, is a UserError. Parameters stay what they are, and so do checkpoints; evaluation, prediction and rollouts
    round nothing.
    """

    forward: str = ""
    backward: str = ""
    kernels: str = ""
    where: tuple[str, ...] = (r"(^|[/_])(query|key|value|out|up|gate|down)$",)

    def __post_init__(self) -> None:
        for name in ("forward", "backward", "kernels"):
            kind = getattr(self, name)
            if kind and kind not in TYPES:
                raise UserError(f"quantized.{name} is {kind!r}; it can be {', '.join(TYPES)}, or '' for as it is")
            if kind and not self.forward:
                raise UserError(f"quantized.{name}={kind} reads what quantized.forward rounds; set that, too")
            if kind and (kind == "int8") != (self.forward == "int8"):
                raise UserError(f"quantized.{name}={kind} meets {self.forward}, and int8 goes with int8 alone")
        frozen.regular(self.where, of="quantized.where")
        if self.forward and not self.where:
            raise UserError(f"quantized.forward={self.forward} rounds no layer, as quantized.where names none")

    def chosen(self, path: str) -> bool:
        """Whether a layer's products are rounded."""
        return any(re.search(pattern, path) for pattern in self.where)


def over(model: Any, quantized: Quantized) -> Any:
    """The model as a training step runs it."""
    return Rounded(model, quantized) if quantized.forward else model


def notes(model: Any, variables: Any, inputs: Any, device: Any) -> list[str]:
    """What is rounded, and whether ``device`` multiplies such numbers itself, in a line each; none where nothing is.

    device: None where it is not there to be asked.

    Raises UserError for a pattern that no layer with a kernel matches.
    """
    if not isinstance(model, Rounded):
        return []
    jax.eval_shape(lambda v, i: model.apply(v, i, train=False), variables, inputs)
    own, layers = model.quantized, sorted(model.layers)
    for pattern in own.where:
        if not any(re.search(pattern, path) for path in layers):
            known = ", ".join(layers[:8]) or "none"
            raise UserError(f"quantized.where: {pattern!r} is found in no layer with a kernel; there are {known}, ...")
    back = [f"{what} in {kind}" for what, kind in (("back", own.backward), ("for kernels", own.kernels)) if kind]
    rounded = sum(map(own.chosen, layers))
    line = f"quantized: {rounded} of {len(layers)} layers with a kernel multiply in {', '.join([own.forward, *back])}"
    if device is None:
        return [line]
    kinds = sorted({kind for kind in (own.forward, own.backward, own.kernels) if kind})
    slow = [kind for kind in kinds if not native(kind, device)]
    name = device.device_kind
    if not slow:
        return [line, f"quantized: {name} multiplies {' and '.join(kinds)} itself"]
    return [line, f"quantized: {name} does not multiply {' and '.join(slow)} itself; expect slower steps, not faster"]


def native(kind: str, device: Any) -> bool:
    """Whether a device has units for products of such numbers, as far as its makers say.

    TPUs: int8 from v5e to v6e, float8 from v7 on (``jax.experimental.pallas.tpu.get_tpu_info``). NVIDIA: int8 from
    compute capability 7.5, float8 from 8.9 on.
    """
    if device.platform == "tpu":
        found = re.match(r"TPU ?v?(\d+)", device.device_kind)
        generation = int(found[1]) if found else 0
        return 5 <= generation <= 6 if kind == "int8" else generation >= 7
    capability = re.fullmatch(r"(\d+)\.(\d+)", str(getattr(device, "compute_capability", "")))
    least = (7, 5) if kind == "int8" else (8, 9)
    return capability is not None and (int(capability[1]), int(capability[2])) >= least


class Rounded:
    """A model whose products with kernels are rounded on their way; for all else it is the model.

    layers: paths of what has a kernel, as the last pass met them.
    """

    def __init__(self, model: Any, quantized: Quantized):
        self.model, self.quantized = model, quantized
        self.layers: set[str] = set()
        self._trunk: tuple[str, ...] = ()

    def apply(self, *args: Any, **options: Any) -> Any:
        """What the model gives."""
        self.layers = set()
        with linen.intercept_methods(self._instead):
            return self.model.apply(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def _instead(self, call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module, method = context.module, context.method_name
        if method == "layers":
            with self._inside(module.path):
                return call(*args, **kwargs)
        if method == "__call__" and isinstance(module, linen.Dense | linen.DenseGeneral) and self._rounds(module):
            with dense.instead(module, functools.partial(_dense, self.quantized)):
                return call(*args, **kwargs)
        if method == "product" and self._rounds(module):  # of experts, each with a kernel of its own
            made: Any = multiplied(*args, (((3,), (1,)), ((1,), (0,))), self.quantized)
            return jnp.swapaxes(made, 0, 1)
        return call(*args, **kwargs)

    @contextlib.contextmanager
    def _inside(self, trunk: tuple[str, ...]) -> Iterator[None]:
        """A mesh may run a trunk's layers as functions of their own, whose paths begin anew."""
        self._trunk, before = trunk, self._trunk
        try:
            yield
        finally:
            self._trunk = before

    def _rounds(self, module: linen.Module) -> bool:
        path = module.path
        if path[: len(self._trunk)] != self._trunk:
            path = (*self._trunk, "blocks", *path)
        self.layers.add("/".join(path))
        return self.quantized.chosen("/".join(path))


def _dense(quantized: Quantized, values: jax.Array, kernel: jax.Array, dims: Any, precision: Any = None) -> jax.Array:
    """As linen's layers call it. What is in eight bits has no precision to choose."""
    (summed, own), (shared, other) = dims
    ranks = values.ndim, kernel.ndim
    whole = [tuple(axis % rank for axis in axes) for axes, rank in zip((summed, own), ranks, strict=True)]
    return multiplied(values, kernel, (tuple(whole), (tuple(shared), tuple(other))), quantized)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def multiplied(values: jax.Array, kernel: jax.Array, dims: Dims, quantized: Quantized) -> jax.Array:
    """``jax.lax.dot_general`` of both, rounded, and of the gradients that come back as ``quantized`` says."""
    return _forth(values, kernel, dims, quantized)[0]


def _forth(values: jax.Array, kernel: jax.Array, dims: Dims, quantized: Quantized) -> tuple[jax.Array, Any]:
    import qwix  # a third of a second that only those who ask for it wait

    (summed, own), _ = dims
    left, right = _rounded(values, quantized.forward, summed), _rounded(kernel, quantized.forward, own)
    out = qwix.dot_general(left, right, dims).astype(values.dtype)
    # A product in eight bits reads what is rounded already, one that is not reads what was there before.
    return out, (left if quantized.kernels else values, right if quantized.backward else kernel)


def _back(dims: Dims, quantized: Quantized, kept: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    values, kernel = kept
    (summed, own), (shared, other) = dims
    toward_values = _toward(gradient, kernel, ((own, summed), (other, shared)), quantized.backward, first=True)
    toward_kernel = _toward(gradient, values, ((summed, own), (shared, other)), quantized.kernels, first=False)
    return toward_values.astype(gradient.dtype), toward_kernel.astype(gradient.dtype)  # all of one type, as linen does


multiplied.defvjp(_forth, _back)


def _toward(gradient: jax.Array, other: Any, dims: Dims, kind: str, *, first: bool) -> jax.Array:
    """The gradient of an operand, which is that of the product times the ``other`` operand.

    dims: as of ``other`` times the operand. first: whether the operand was the first of the product.
    """
    import qwix

    (summed, theirs), (shared, also) = dims
    rest = [axis for axis in range(other.ndim) if axis not in (*summed, *shared)]
    batch, ahead = range(len(shared)), gradient.ndim - len(rest)
    across = range(ahead, gradient.ndim) if first else range(len(shared), len(shared) + len(rest))
    free = [axis for axis in range(gradient.ndim) if axis not in (*across, *batch)]
    back = ((tuple(across), tuple(rest)), (tuple(batch), shared))
    many = math.prod(gradient.shape[axis] for axis in across)
    if kind == "int8" and many > _HELD:
        raise UserError(
            f"quantized: an int32 holds {_HELD:,} products of int8, and a kernel's gradient sums {many:,}; set "
            "quantized.kernels to '', or a smaller data.batch, or optim.accumulate"
        )
    if kind:  # the other's scales stand along what is summed over now, so they go to the gradient before it is rounded
        shape = [1] * gradient.ndim
        for axis, own in zip((*batch, *across), (*shared, *rest), strict=True):
            shape[axis] = other.shape[own]
        scale = other.scale.transpose(*shared, *rest, *summed).reshape(shape)
        made = qwix.dot_general(_rounded(gradient * scale, kind, tuple(across)), other.qvalue, back)
    else:
        made = jax.lax.dot_general(gradient, other, back)
    # It has the axes that both have, those that the operand has alone, and those that the other was summed over.
    own = [axis for axis in range(len(shared) + len(free) + len(summed)) if axis not in (*also, *theirs)]
    ordered = [*also, *own, *(theirs[i] for i in sorted(range(len(summed)), key=summed.__getitem__))]
    return made.transpose([ordered.index(axis) for axis in range(made.ndim)])


def _rounded(array: jax.Array, kind: str, along: Sequence[int]) -> Any:
    """In eight bits, with a scale for each row along what is summed over; scales are in float32 at least."""
    import qwix

    exact = array.astype(jnp.promote_types(array.dtype, jnp.float32))
    rows = [axis for axis in range(array.ndim) if axis not in along]
    # The largest becomes 127. qwix alone would make it 127.5, where the last bit of a scale says what it is rounded to.
    method = f"absmax,{127.5 / 127}" if kind == "int8" else "absmax"
    return qwix.quantize(exact, jnp.dtype(kind), channelwise_axes=rows, calibration_method=method)
