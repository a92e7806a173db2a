"""Scaled dot-product attention, written for what compilers make of it."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def attention(
    query: Float[Array, "b q k h"],
    key: Float[Array, "b n g h"],
    value: Float[Array, "b n g h"],
    bias: Float[Array, "#b #k #q #n"] | None = None,
    allowed: Bool[Array, "#b #k #q #n"] | None = None,
    *,
    causal: bool = False,
    reach: tuple[int, int] | None = None,
) -> Float[Array, "b q k h"]:
    """Each query's mean of the values where it may look, by its likeness to their keys; ``g`` divides ``k``.

    causal: a query looks at keys up to its own place. reach: at so many before its place and so many behind it.
    Scores and softmax are in float32 at least. A query that may look nowhere gets the mean of all.
    """
    # Heads before tokens: then each head's matrices lie together, and a projection comes out so without a copy.
    query, key, value = (jnp.swapaxes(part, 1, 2) for part in (query, key, value))
    groups, shared = key.shape[1], query.shape[1] // key.shape[1]
    exact = jnp.promote_types(query.dtype, jnp.float32)
    query = query.reshape(query.shape[0], groups, shared, *query.shape[2:])
    # Named so, the gradient's products take bfloat16 too, and not a float32 copy of it.
    precision = jax.lax.DotAlgorithmPreset.BF16_BF16_F32 if query.dtype == jnp.bfloat16 else None
    scores = jnp.einsum("bgsqh,bgnh->bgsqn", query, key, precision=precision, preferred_element_type=exact)
    scores = scores.reshape(scores.shape[0], -1, *scores.shape[3:]) / math.sqrt(query.shape[-1])
    scores = scores if bias is None else scores + bias
    seen = within(scores.shape[2], scores.shape[3], causal=causal, reach=reach)
    seen = seen if allowed is None else allowed if seen is None else allowed & seen
    scores = scores if seen is None else jnp.where(seen, scores, 0.7 * jnp.finfo(exact).min)
    # In this shape already, so that its gradient and that of the product keep one array and not two.
    share = _softmax(scores.reshape(query.shape[:4] + scores.shape[3:])).astype(value.dtype)
    mixed = jnp.einsum("bgsqn,bgnh->bgsqh", share, value)
    return jnp.swapaxes(mixed.reshape(mixed.shape[0], -1, *mixed.shape[3:]), 1, 2)


def within(
    queries: int, keys: int, *, causal: bool = False, reach: tuple[int, int] | None = None
) -> Bool[Array, "q n"] | None:
    """Which keys a query may look at for where they stand; None for all."""
    if not causal and reach is None:
        return None
    ahead = jnp.arange(keys) - jnp.arange(queries)[:, None]
    seen = ahead <= 0 if causal else jnp.ones(ahead.shape, bool)
    return seen if reach is None else seen & (ahead >= -reach[0]) & (ahead <= reach[1])


@jax.custom_jvp
def _softmax(scores: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Over the last axis; its gradient keeps what comes out alone, which otherwise is one of three such arrays."""
    return jax.nn.softmax(scores)


@_softmax.defjvp
def _softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    share, (change,) = _softmax(*primals), tangents
    return share, share * (change - jnp.sum(share * change, axis=-1, keepdims=True))
