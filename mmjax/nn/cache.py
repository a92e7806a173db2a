"""Keys and values of tokens that were seen, kept so that the next token need not see them again.

They live in the mutable collection ``cache``, which the caller of ``apply`` asks for and hands back:

    outputs, kept = model.apply(weights, ..., mutable=["cache"])
    outputs, kept = model.apply({**weights, **kept}, ..., mutable=["cache"])

A memory, at which all tokens look, is written once. A token goes into the slot of its position, so that what stands in
later slots, padding or what an earlier prompt left, is written over before anyone may look at it. Arrays have a fixed
number of slots, so one compiled step serves every length. Rows and heads are one axis: in this shape products read the
very array that is written to, and nothing is copied. ``taken`` chooses among the rows.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Tokens, masks, trees

NAME = "cache"
_MEMORY = "memory"


class Looked(flax.struct.PyTreeNode):
    """Who may look at which slot, ``b 1 n s``, of keys and values that are in the cache; other layers have none."""

    allowed: Any


def stored(
    module: linen.Module, name: str, new: Float[Array, "b n g h"], positions: Int[Array, "#b n"], slots: int
) -> Float[Array, "bg s h"]:
    """All that ``name`` holds, with ``new`` written at the positions, which follow one another in each row."""
    b, n, g, h = new.shape
    held = module.variable(NAME, name, jnp.zeros, (b * g, slots, h), new.dtype)
    first = jnp.repeat(jnp.broadcast_to(positions[:, 0], (b,)), g)
    held.value = _written(held.value, new.swapaxes(1, 2).reshape(b * g, n, h), first, alike=b == 1)
    return held.value


def looked(module: linen.Module, mask: Bool[Array, "b n"], positions: Int[Array, "b n"], slots: int) -> Looked:
    """Who may look at which slot: real tokens, up to oneself."""
    held = module.variable(NAME, "mask", jnp.zeros, (len(mask), slots), bool)
    held.value = _written(held.value, mask, positions[:, 0], alike=len(mask) == 1)
    return Looked((held.value[:, None] & (jnp.arange(slots) <= positions[..., None]))[:, None])


def remembered(module: linen.Module, memory: Tokens | None) -> Tokens | None:
    """A memory that every later token may look at: the one given, or what is kept of it, its mask without its tokens.

    Its keys and values are those of ``written``.
    """
    name = f"{_MEMORY}_mask"
    if memory is None:
        if not module.has_variable(NAME, name):
            return None
        return Tokens(module.get_variable(NAME, _MEMORY), module.get_variable(NAME, name))
    memory = memory.replace(values=masks.zeroed(memory.values, memory.mask))
    module.put_variable(NAME, name, memory.mask)
    module.put_variable(NAME, _MEMORY, memory.values[:, :0])
    return memory


def written(module: linen.Module, name: str, new: Float[Array, "b n g h"]) -> Float[Array, "bg s h"]:
    """``new``, which is kept as ``name``; where there is nothing new, what was written before."""
    b, n, g, h = new.shape
    held = module.variable(NAME, name, lambda: new.swapaxes(1, 2).reshape(b * g, n, h))
    if n:
        held.value = new.swapaxes(1, 2).reshape(b * g, n, h)
    return held.value


def attended(
    query: Float[Array, "b n k h"], keys: Float[Array, "bg s h"], values: Float[Array, "bg s h"],
    allowed: Bool[Array, "b 1 n s"],
) -> Float[Array, "b n k h"]:  # fmt: skip
    """Attention of a few queries over many slots, whose arrays are read in the order in which they lie."""
    b, n, k, h = query.shape
    groups, slots = len(keys) // b, keys.shape[1]
    each = (b, groups, k // groups, n)
    grouped = query.reshape(b, n, *each[1:3], h).transpose(0, 2, 3, 1, 4).reshape(b * groups, -1, h)
    scores = jnp.einsum("gqh,gsh->gqs", grouped, keys, preferred_element_type=jnp.float32) / jnp.sqrt(h)
    here = jnp.broadcast_to(allowed[:, :, None], (*each, slots)).reshape(scores.shape)
    shares = jax.nn.softmax(jnp.where(here, scores, jnp.finfo(jnp.float32).min)).astype(values.dtype)
    mixed = jnp.einsum("gqs,gsh->gqh", shares, values)
    return mixed.reshape(*each, h).transpose(0, 3, 1, 2, 4).reshape(b, n, k, h)


def taken(kept: Any, rows: Int[Array, " m"]) -> Any:
    """What is kept of these rows, in this order; a row may come more than once."""
    leaves = trees.flatten(kept)
    among = next(len(leaf) for path, leaf in leaves.items() if path.endswith("mask"))

    def take(path: str, leaf: Array) -> Array:
        axis = 1 if "/blocks/" in path else 0  # scanned layers come first
        heads = leaf.shape[axis] // among
        return jnp.take(leaf, (rows[:, None] * heads + jnp.arange(heads)).reshape(-1), axis=axis)

    return trees.map_paths(take, kept)


def _written(held: Array, new: Array, first: Array, *, alike: bool) -> Array:
    """``new`` (m n ...) at slots ``first`` of ``held``; ``alike``: all at the same, which is a plain slice."""
    if alike:
        return jax.lax.dynamic_update_slice_in_dim(held, new, first[0], axis=1)
    return jax.vmap(lambda held, new, first: jax.lax.dynamic_update_slice_in_dim(held, new, first, axis=0))(
        held, new, first
    )
