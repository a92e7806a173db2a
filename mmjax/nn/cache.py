"""Keys and values of tokens that were seen, kept so that the next token need not see them again.

They live in the mutable collection ``cache``, which the caller of ``apply`` asks for and hands back:

    outputs, kept = model.apply(weights, ..., mutable=["cache"])
    outputs, kept = model.apply({**weights, **kept}, ..., mutable=["cache"])

A token goes into the slot of its position, so that what stands in later slots, padding or what an earlier prompt left,
is written over before anyone may look at it. Arrays have a fixed number of slots, so one compiled step serves every
length.
"""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

NAME = "cache"


def kept(module: linen.Module) -> bool:
    """Whether the caller asked for the collection; initialisation, which makes everything mutable, does not count."""
    return module.is_mutable_collection(NAME) and not module.is_initializing()


def stored(
    module: linen.Module, name: str, new: Float[Array, "b n g h"], positions: Int[Array, "#b n"], slots: int
) -> Float[Array, "b g s h"]:
    """All that ``name`` holds, with ``new`` written at the positions, which follow one another in each row."""
    b, _, g, h = new.shape
    held = module.variable(NAME, name, jnp.zeros, (b, g, slots, h), new.dtype)
    held.value = _written(held.value, new.swapaxes(1, 2), positions, axis=1)
    return held.value


def looked(
    module: linen.Module, mask: Bool[Array, "b n"], positions: Int[Array, "b n"], slots: int
) -> Bool[Array, "b 1 n s"]:
    """Who may look at which slot: real tokens, up to oneself."""
    held = module.variable(NAME, "mask", jnp.zeros, (len(mask), slots), bool)
    held.value = _written(held.value, mask, positions, axis=0)
    return (held.value[:, None] & (jnp.arange(slots) <= positions[..., None]))[:, None]


def attended(
    query: Float[Array, "b n k h"], keys: Float[Array, "b g s h"], values: Float[Array, "b g s h"],
    allowed: Bool[Array, "b 1 n s"],
) -> Float[Array, "b n k h"]:  # fmt: skip
    """Attention of a few queries over many slots, whose arrays are read in the order in which they lie."""
    b, n, k, h = query.shape
    grouped = query.reshape(b, n, keys.shape[1], -1, h)
    scores = jnp.einsum("bngrh,bgsh->bgrns", grouped, keys, preferred_element_type=jnp.float32) / jnp.sqrt(h)
    scores = jnp.where(allowed[:, :, None], scores, jnp.finfo(jnp.float32).min)
    mixed = jnp.einsum("bgrns,bgsh->bngrh", jax.nn.softmax(scores).astype(values.dtype), values)
    return mixed.reshape(b, n, k, h)


def _written(held: Array, new: Array, positions: Array, *, axis: int) -> Array:
    def write(held: Array, new: Array, first: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(held, new, first, axis)

    first = jnp.broadcast_to(positions[:, 0], held.shape[:1])
    if len(held) == 1:  # a plain slice, which is written in place; several rows are scattered
        return write(held[0], new[0], first[0])[None]
    return jax.vmap(write)(held, new, first)
