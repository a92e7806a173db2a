"""Moments of gradients in two bytes or one, where float32 takes four.

A moment moves by a thousandth of itself a step, which is less than the distance between neighbouring small numbers:
rounded to the nearest, it would stand still. So it is rounded up as often as what would be lost demands. The dice are
a sequence that spreads evenly over the steps, other for each number, so nothing is drawn and a run repeats bit for bit.

``bfloat16`` keeps float32's range. ``int8`` keeps, for every block of a few hundred numbers, their largest magnitude,
and each number as one byte relative to it (Dettmers et al., 2022, https://arxiv.org/abs/2110.02861), here by powers:
means by a signed square root (down to 1 / 16,129 of the largest), squares by a fourth root (down to 1 / 4 billion).
Arrays of fewer than 4,096 numbers stay in float32.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from mmjax.core import UserError

KINDS = ("float32", "bfloat16", "int8")
_SMALLEST, _BLOCK, _SHORT = 4096, 256, 64


class AdamState(NamedTuple):
    """Both moments, with the scales of their blocks (one number, unread, where there are no blocks)."""

    count: Any
    mean: Any
    square: Any
    mean_scale: Any
    square_scale: Any


def adam(b1: float, b2: float, eps: float, *, kind: str) -> optax.GradientTransformation:
    """Adam's step before its rate, with moments of ``kind``, which are float32 while they are reckoned with.

    Raises UserError for a kind that there is not.
    """
    if kind not in KINDS:
        raise UserError(f"moments is {kind!r}; it can be {', '.join(KINDS[:-1])} or {KINDS[-1]}")

    def init(params: Any) -> AdamState:
        means, squares = (jax.tree.map(lambda p, s=s: _zeros(p, kind, signed=s), params) for s in (True, False))
        scales, others = (jax.tree.map(lambda p: _scales(p, kind), params) for _ in range(2))
        return AdamState(jnp.zeros((), jnp.int32), means, squares, scales, others)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdamState]:
        count = state.count + 1

        def one(grad: Array, *kept: Array) -> tuple[Array, ...]:
            grad = grad.astype(jnp.float32)
            mean = b1 * unpacked(kept[0], kept[2], signed=True) + (1 - b1) * grad
            square = b2 * unpacked(kept[1], kept[3], signed=False) + (1 - b2) * jnp.square(grad)
            step = mean / (1 - b1**count) / (jnp.sqrt(square / (1 - b2**count)) + eps)
            means, squares = packed(mean, kind, count, signed=True), packed(square, kind, count, signed=False)
            return step, means[0], squares[0], means[1], squares[1]

        done = jax.tree.map(one, updates, *state[1:])
        steps, *kept = jax.tree.transpose(jax.tree.structure(updates), jax.tree.structure((0,) * 5), done)
        return steps, AdamState(count, *kept)

    return optax.GradientTransformation(init, update)


def packed(
    values: Float[Array, "*s"], kind: str, count: Shaped[Array, ""], *, signed: bool
) -> tuple[Shaped[Array, "*s"], Float[Array, "*t"]]:
    """A float32 moment at step ``count`` as it is kept, and the scales of its blocks."""
    one = jnp.zeros((1,), jnp.float32)
    if kind == "bfloat16":
        bits = jax.lax.bitcast_convert_type(values, jnp.uint32) + (_dice(values.shape, count, signed) >> 16)
        return jax.lax.bitcast_convert_type(bits & jnp.uint32(0xFFFF0000), jnp.float32).astype(jnp.bfloat16), one
    if kind == "float32" or values.size < _SMALLEST:
        return values, one
    lead, most, power = _blocks(values.shape), 127 if signed else 255, 2 if signed else 4
    blocks = values.reshape(*lead, -1)
    scale = jnp.max(jnp.abs(blocks), axis=-1)
    share = jnp.abs(blocks) / jnp.maximum(scale, jnp.finfo(jnp.float32).tiny)[..., None]
    below = jnp.minimum(jnp.floor(share ** (1 / power) * most), most - 1)
    low, high = (below / most) ** power, ((below + 1) / most) ** power
    dice = _dice(values.shape, count, signed).reshape(blocks.shape) * jnp.float32(2.0**-32)
    code = below + (dice < (share - low) / (high - low))
    # A square of 0 under a mean that is not would be a step without bounds.
    code = jnp.sign(blocks) * code if signed else jnp.maximum(code, 1)
    return code.reshape(values.shape).astype(jnp.int8 if signed else jnp.uint8), scale


def unpacked(kept: Shaped[Array, "*s"], scale: Float[Array, "*t"], *, signed: bool) -> Float[Array, "*s"]:
    """The float32 moment that was packed."""
    if not jnp.issubdtype(kept.dtype, jnp.integer):
        return kept.astype(jnp.float32)
    share = kept.astype(jnp.float32).reshape(*scale.shape, -1) / (127 if signed else 255)
    share = share * jnp.abs(share) if signed else jnp.square(jnp.square(share))
    return (share * scale[..., None]).reshape(kept.shape)


def _zeros(param: Any, kind: str, *, signed: bool) -> Array:
    if kind == "int8" and param.size >= _SMALLEST:
        return jnp.zeros_like(param, dtype=jnp.int8 if signed else jnp.uint8)
    return jnp.zeros_like(param, dtype=jnp.bfloat16 if kind == "bfloat16" else jnp.float32)


def _scales(param: Any, kind: str) -> Array:
    quantised = kind == "int8" and param.size >= _SMALLEST
    return jnp.zeros(_blocks(param.shape) if quantised else (1,), jnp.float32)


def _blocks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an array's blocks: last axes together where they are short, cut by 256 where they are long."""
    axis = len(shape) - 1
    while axis and math.prod(shape[axis:]) < _SHORT:
        axis -= 1
    size = math.prod(shape[axis:])
    return (*shape[:axis], size // _BLOCK) if size % _BLOCK == 0 else shape[:axis]


def _dice(shape: tuple[int, ...], count: Array, signed: bool) -> Array:
    """32 bits for each number, which over the steps spread evenly: multiples of the golden section."""
    places = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape) * jnp.uint32(3_242_174_889)
    return places + count.astype(jnp.uint32) * jnp.uint32(2_654_435_769) + jnp.uint32(signed) * jnp.uint32(0x9E3779B1)
