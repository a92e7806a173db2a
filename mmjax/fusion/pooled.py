"""Streams as one vector each: what they are pooled to, and how vectors of some of them are put together."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Tokens, masks


def means(streams: Mapping[str, Tokens], *, segments: int) -> dict[str, Tokens]:
    """The mean of every stream, of each of up to ``segments`` packed examples; in the order of names."""
    return {name: nn.pool.means(streams[name], segments=segments) for name in sorted(streams)}


def token(values: Float[Array, "b s d"], pooled: Mapping[str, Tokens], *, segments: int) -> Tokens:
    """``values`` as tokens, real where any of the ``pooled`` streams is."""
    here = jnp.any(jnp.stack([part.mask for part in pooled.values()]), axis=0)
    ids = jnp.where(here, jnp.arange(1, segments + 1), 0) if segments else None
    return Tokens(masks.zeroed(values, here), here, ids)


def product(parts: Mapping[str, Float[Array, "b s *k"]], pooled: Mapping[str, Tokens]) -> Float[Array, "b s *k"]:
    """All ``parts`` multiplied; that of an absent stream counts as 1."""
    return functools.reduce(jnp.multiply, [_or_one(part, pooled[name].mask) for name, part in parts.items()])


def shares(scores: Mapping[str, Float[Array, "b s e"]], pooled: Mapping[str, Tokens]) -> dict[str, jax.Array]:
    """The softmax of all ``scores`` of the streams that are present, in float32; 0 for the others."""
    here = jnp.concatenate([jnp.broadcast_to(pooled[n].mask[..., None], s.shape) for n, s in scores.items()], axis=-1)
    stacked = jnp.concatenate(list(scores.values()), axis=-1).astype(jnp.float32)
    weights = jax.nn.softmax(jnp.where(here, stacked, jnp.finfo(jnp.float32).min), axis=-1) * here
    ends = np.cumsum([part.shape[-1] for part in scores.values()])[:-1]
    return dict(zip(scores, jnp.split(weights, ends, axis=-1), strict=True))


def _or_one(part: Float[Array, "b s *k"], mask: Bool[Array, "b s"]) -> Float[Array, "b s *k"]:
    return jnp.where(mask.reshape(mask.shape + (1,) * (part.ndim - 2)), part, jnp.ones((), part.dtype))
