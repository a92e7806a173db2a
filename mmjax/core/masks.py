"""What masks mean: presence, and who may look at whom."""

from typing import Any

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Shaped

from mmjax.core.errors import UserError
from mmjax.core.types import Signal, Tokens


class Among(flax.struct.PyTreeNode):
    """Tokens that look at one another: the real ones, each at those of its own segment. Arrays ``b n``, as Tokens'."""

    mask: Any
    segments: Any = None

    @classmethod
    def of(cls, tokens: Tokens) -> "Among":
        """All of them, each at those of its own segment."""
        return cls(tokens.mask, tokens.segments)

    def numbers(self) -> Int[Array, "b n"]:
        """A number for each token: who shares one may look at each other; padding has 0."""
        return jnp.where(self.mask, 1 if self.segments is None else self.segments, 0).astype(jnp.int32)


def dense(allowed: Bool[Array, "b ..."] | Among | None) -> Bool[Array, "b ..."] | None:
    """Who may look at whom, ``b 1 q n``; what is so already stays."""
    if not isinstance(allowed, Among):
        return allowed
    own = allowed.segments
    return attention(allowed.mask, allowed.mask, query_segments=own, key_segments=own)


def present(mask: Bool[Array, "b ..."]) -> Bool[Array, " b"]:
    """Whether a row has anything of this modality at all."""
    return jnp.any(mask, axis=tuple(range(1, mask.ndim)))


def zeroed(values: Shaped[Array, "b ..."], mask: Bool[Array, "b ..."]) -> Shaped[Array, "b ..."]:
    """``values`` with masked positions at 0, whatever (NaN included) stood there."""
    shape = mask.shape + (1,) * (values.ndim - mask.ndim)
    return jnp.where(mask.reshape(shape), values, jnp.zeros((), values.dtype))


def unpacked(rows: Signal | Tokens, *, of: str) -> None:
    """UserError where several examples share a row, which the part named ``of`` would mix."""
    if rows.segments is not None:
        raise UserError(f"{of} takes one example a row; these are packed")


def attention(
    query: Bool[Array, "b q"],
    key: Bool[Array, "b k"],
    *,
    query_segments: Int[Array, "b q"] | None = None,
    key_segments: Int[Array, "b k"] | None = None,
) -> Bool[Array, "b 1 q k"]:
    """Who may look at whom: real keys only, and only within the same segment."""
    allowed = jnp.broadcast_to(key[:, None, None, :], (key.shape[0], 1, query.shape[1], key.shape[1]))
    if query_segments is not None and key_segments is not None:
        allowed &= query_segments[:, None, :, None] == key_segments[:, None, None, :]
    return allowed
