"""Scaled dot-product attention, written for what compilers make of it."""

import math
from typing import Any

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
    Scores and softmax are in float32 at least. A query that may look nowhere gets the mean of all. Forward-mode
    derivatives do not go through, nor gradients in a ``jax.shard_map`` that checks what devices have alike.
    """
    seen = within(query.shape[1], key.shape[1], causal=causal, reach=reach)
    seen = seen if allowed is None else allowed if seen is None else allowed & seen
    return _mixed(query, key, value, bias, seen)


def within(
    queries: int, keys: int, *, causal: bool = False, reach: tuple[int, int] | None = None
) -> Bool[Array, "q n"] | None:
    """Which keys a query may look at for where they stand; None for all."""
    if not causal and reach is None:
        return None
    ahead = jnp.arange(keys) - jnp.arange(queries)[:, None]
    seen = ahead <= 0 if causal else jnp.ones(ahead.shape, bool)
    return seen if reach is None else seen & (ahead >= -reach[0]) & (ahead <= reach[1])


# Derived step by step it would keep three arrays as large as the scores; this keeps one, and copies less.
@jax.custom_vjp
def _mixed(query: Array, key: Array, value: Array, bias: Array | None, seen: Array | None) -> Array:
    return _forth(query, key, value, bias, seen)[0]


def _forth(query: Array, key: Array, value: Array, bias: Array | None, seen: Array | None) -> tuple[Array, Any]:
    exact = jnp.promote_types(query.dtype, jnp.float32)
    # One copy of each, which all products read as it is; left to itself, XLA makes another for each of them.
    query, key, value = jax.lax.optimization_barrier(tuple(map(_by_head, (query, key, value))))
    apart = query.shape[:3]
    query = _grouped(query, key)
    scores = _product("bgqh,bgnh->bgqn", query, key, exact).reshape(*apart, -1) / math.sqrt(query.shape[-1])
    scores = scores if bias is None else scores + bias
    scores = scores if seen is None else jnp.where(seen, scores, 0.7 * jnp.finfo(exact).min)
    share = _grouped(jax.nn.softmax(scores).astype(value.dtype), key)
    out = _by_head(jnp.einsum("bgqn,bgnh->bgqh", share, value).reshape(*apart, -1))
    return out, (query, key, value, bias, seen, share, out)


def _back(kept: Any, gradient: Any) -> tuple[Array | None, ...]:
    query, key, value, bias, seen, share, out = kept
    exact, gradient = jnp.promote_types(query.dtype, jnp.float32), jnp.asarray(gradient)
    by_head = jax.lax.optimization_barrier(_by_head(gradient))
    apart, by_head = by_head.shape[:3], _grouped(by_head, key)
    change = _product("bgqh,bgnh->bgqn", by_head, value, exact)
    if out.dtype == exact:
        # The sum over keys in a softmax's gradient is one over features, too, which are fewer (Dao et al., 2022).
        level = _grouped(_by_head(jnp.sum(gradient * out, axis=-1, keepdims=True)), key)
    else:  # what came out is rounded, and differences would be lost
        level = jnp.sum(share * change, axis=-1, keepdims=True)
    change = (share * (change - level)).reshape(*apart, -1)
    change = change if seen is None else jnp.where(seen, change, 0)
    toward_bias = None if bias is None else _summed(change, bias)
    change = _grouped((change / math.sqrt(query.shape[-1])).astype(query.dtype), key)
    toward_query = jnp.einsum("bgqn,bgnh->bgqh", change, key).reshape(*apart, -1)
    toward_key = jnp.einsum("bgqn,bgqh->bgnh", change, query)
    toward_value = jnp.einsum("bgqn,bgqh->bgnh", share, by_head)
    toward = (_like(*both) for both in ((toward_query, query), (toward_key, key), (toward_value, value)))
    return (*toward, toward_bias, None)


_mixed.defvjp(_forth, _back)


def _by_head(values: Array) -> Array:
    """Heads before tokens, or tokens before heads again."""
    return jnp.swapaxes(values, 1, 2)


def _like(gradient: Array, own: Array) -> Array:
    """A gradient by tokens again, in the kind of what it is of."""
    return _by_head(gradient).astype(own.dtype)


def _grouped(values: Array, key: Array) -> Array:
    """Queries of all heads that share a head of keys as one."""
    return values.reshape(*key.shape[:2], -1, values.shape[-1])


def _product(letters: str, left: Array, right: Array, exact: Any) -> Array:
    """A product that is exact, of inputs in bfloat16 where they are that."""
    precision = jax.lax.DotAlgorithmPreset.BF16_BF16_F32 if left.dtype == jnp.bfloat16 else None
    return jnp.einsum(letters, left, right, precision=precision, preferred_element_type=exact)


def _summed(values: Array, like: Array) -> Array:
    """Summed over the axes along which ``like`` was repeated."""
    repeated = tuple(axis for axis, size in enumerate(like.shape) if size == 1)
    return jnp.sum(values, axis=repeated, keepdims=True).astype(like.dtype)
