"""Tokens that are left out before they cost anything, and put back among those that were hidden."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.core import Kept, Tokens, UserError, masks


def only(tokens: Tokens, kept: Kept | None) -> Tokens:
    """The tokens of ``kept`` alone, ``b k d``, each with the position that it had; all where that is None.

    Raises UserError for packed rows, and where ``kept`` is of another number of tokens.
    """
    if kept is None:
        return tokens
    masks.unpacked(tokens, of="hiding tokens")
    if kept.mask.shape != tokens.mask.shape:
        raise UserError(f"what is kept is of {kept.mask.shape[1]} tokens a row; there are {tokens.mask.shape[1]}")
    positions = tokens.positions
    if positions is None:
        positions = jnp.broadcast_to(jnp.arange(tokens.mask.shape[1]), tokens.mask.shape)
    at = jnp.maximum(kept.index, 0)
    mask = jnp.take_along_axis(tokens.mask, at, axis=1) & (kept.index >= 0)
    values = jnp.take_along_axis(tokens.values, at[..., None], axis=1)
    positions = jnp.take_along_axis(positions, at.reshape(at.shape + (1,) * (positions.ndim - 2)), axis=1)
    return Tokens(masks.zeroed(values, mask), mask, positions=positions, kept=kept)


def restored(tokens: Tokens, blank: Float[Array, " d"]) -> tuple[Float[Array, "b n d"], Bool[Array, "b n"]]:
    """All of an encoder's tokens, ``blank`` where they were hidden, and which of them are real."""
    if tokens.kept is None:
        return tokens.values, tokens.mask
    kept, (rows, count) = tokens.kept, tokens.kept.mask.shape
    at = jnp.where(tokens.mask, kept.index, count)  # one place too far is nowhere
    whole = jnp.broadcast_to(blank.astype(tokens.values.dtype), (rows, count, len(blank)))
    values = whole.at[jnp.arange(rows)[:, None], at].set(tokens.values, mode="drop")
    return masks.zeroed(values, kept.mask), kept.mask
