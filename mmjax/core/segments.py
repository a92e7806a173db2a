"""Several that share a row: laid beside each other, added up, read at their ends."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmjax.core.types import Signal


def beside(signals: Sequence[Signal], own: Any = jnp) -> Signal:
    """Rows of equal width ``b t`` as one, ``b k t``: segments 1, 2, ... with positions that begin anew in each.

    own: whose arrays they are, jax's or numpy's.
    """
    values, mask = (own.concatenate([getattr(one, name) for one in signals], axis=1) for name in ("values", "mask"))
    width = mask.shape[1] // len(signals)
    numbers = own.arange(mask.shape[1])
    segments = own.where(mask, 1 + numbers // width, 0).astype(np.int32)
    return Signal(values, mask, segments, own.broadcast_to(numbers % width, mask.shape).astype(np.int32))


def summed(
    values: Float[Array, "b t"], mask: Bool[Array, "b t"], segments: Int[Array, "b t"], most: int
) -> Float[Array, "b k"]:
    """The sums over each of a row's first ``most`` segments."""
    own = (segments[..., None] == jnp.arange(1, most + 1)) & mask[..., None]
    return jnp.sum(jnp.where(own, values[..., None], 0), axis=1)


def ends(values: Float[Array, "b t"], mask: Any, segments: Any, most: int) -> Float[Array, "b k"]:
    """``values`` at the last real token of each segment; 0 where there is none. Without segments a row is one."""
    mask = jnp.asarray(mask)
    segments = mask.astype(jnp.int32) if segments is None else segments
    own = (segments[..., None] == jnp.arange(1, most + 1)) & mask[..., None]
    last = own & (jnp.cumsum(own[:, ::-1], axis=1)[:, ::-1] == 1)
    return jnp.sum(jnp.where(last, values[..., None], 0), axis=1)
