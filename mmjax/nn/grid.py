"""Grids of places: what convolutions walk over, masked along their first axis."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool

from mmjax.core import Signal, Tokens, UserError, masks


def picture(signal: Signal, *, dtype: str) -> Signal:
    """Pictures ``b h w c`` with a mask over their rows, ``b h``, or videos ``b t h w c`` with one over time, ``b t``.

    A mask ``b 1`` is that of all rows. uint8 pixels are scaled to -1..1, floats taken as they are; masked rows are 0.
    Raises UserError for packed rows, whose pictures convolutions would mix.
    """
    if signal.segments is not None:
        raise UserError("convolutions would mix the pictures of a packed row; give each a row of its own")
    values = jnp.asarray(signal.values)
    if values.dtype == jnp.uint8:
        values = values.astype(jnp.float32) / 127.5 - 1
    mask = jnp.broadcast_to(jnp.asarray(signal.mask), values.shape[:2])
    return Signal(masks.zeroed(values, mask).astype(jnp.dtype(dtype)), mask)


def series(signal: Signal, *, dtype: str) -> Signal:
    """Whatever stands at each step as its channels, ``b t c``: a sample, a sensor's channels, a spectrum's bands.

    Raises UserError for packed rows, whose series convolutions would mix.
    """
    if signal.segments is not None:
        raise UserError("convolutions would mix the series of a packed row; give each a row of its own")
    values, mask = jnp.asarray(signal.values), jnp.asarray(signal.mask)
    values = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
    return Signal(masks.zeroed(values, mask).astype(jnp.dtype(dtype)), mask)


def tokens(signal: Signal) -> Tokens:
    """``b n *s c`` to a token for each place, in reading order; masked ones are 0."""
    values, mask = masks.zeroed(signal.values, signal.mask), signal.mask
    each = math.prod(values.shape[2:-1])
    return Tokens(values.reshape(len(values), -1, values.shape[-1]), jnp.repeat(mask, each, axis=1))


def coarse(mask: Bool[Array, "b n"], size: int) -> Bool[Array, "b m"]:
    """The mask of windows of ``size`` places: one is real where any of its places is."""
    mask = jnp.pad(mask, ((0, 0), (0, -mask.shape[1] % size)))
    return jnp.any(mask.reshape(len(mask), -1, size), axis=2)
