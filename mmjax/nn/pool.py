"""Many tokens to one."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.core import Tokens, UserError, masks
from mmjax.nn.attention import Attention


def mean(values: Float[Array, "b n d"], mask: Bool[Array, "b n"]) -> Float[Array, "b d"]:
    """Mean of the unmasked tokens, summed in float32; 0 where there are none."""
    total = jnp.sum(masks.zeroed(values, mask), axis=1, dtype=jnp.float32)
    count = jnp.sum(mask, axis=1, keepdims=True, dtype=jnp.float32)
    return (total / jnp.maximum(count, 1)).astype(values.dtype)


def deviation(values: Float[Array, "b n d"], mask: Bool[Array, "b n"]) -> Float[Array, "b d"]:
    """Standard deviation of the unmasked tokens, in float32; about 0.003 where they are all alike or there are none.

    How much a feature changes says more of a sound's texture than how large it is: the half of statistics
    pooling (Snyder et al., 2018, https://doi.org/10.1109/ICASSP.2018.8461375) that small data can use.
    """
    inputs = masks.zeroed(values, mask).astype(jnp.float32)
    off = masks.zeroed(inputs - mean(inputs, mask)[:, None], mask)
    # The small constant keeps the gradient of the root finite.
    return jnp.sqrt(mean(jnp.square(off), mask) + 1e-5).astype(values.dtype)


def means(tokens: Tokens, *, segments: int = 0) -> Tokens:
    """One token a row, its mean; of packed rows one for each of the segments 1 to ``segments``.

    Raises UserError for packed rows where ``segments`` is 0.
    """
    if not segments:
        if tokens.segments is not None:
            raise UserError("these rows are packed: set segments= to the most examples that a row may hold")
        return Tokens(mean(tokens.values, tokens.mask)[:, None], masks.present(tokens.mask)[:, None])
    given = tokens.mask.astype(jnp.int32) if tokens.segments is None else tokens.segments
    ids = jnp.arange(1, segments + 1)
    own = (given[:, None] == ids[:, None]) & tokens.mask[:, None]  # b s n
    count = jnp.sum(own, axis=2, dtype=jnp.float32)
    share = own / jnp.maximum(count, 1)[..., None]
    values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.float32)
    pooled = jnp.einsum("bsn,bnd->bsd", share, values, precision="highest").astype(tokens.values.dtype)
    return Tokens(pooled, count > 0, jnp.where(count > 0, ids, 0))


def lasts(tokens: Tokens, *, segments: int = 1) -> Tokens:
    """The last unmasked token of each of the segments 1 to ``segments``, one a token; 0 and masked where it has none.

    Rows without segments are segment 1.
    """
    given = tokens.mask.astype(jnp.int32) if tokens.segments is None else tokens.segments
    ids = jnp.arange(1, segments + 1)
    own = (given[:, None] == ids[:, None]) & tokens.mask[:, None]  # b s n
    here = jnp.any(own, axis=2)
    at = own.shape[2] - 1 - jnp.argmax(own[:, :, ::-1], axis=2)
    values = jnp.take_along_axis(masks.zeroed(tokens.values, tokens.mask), at[..., None], axis=1)
    return Tokens(masks.zeroed(values, here), here, jnp.where(here, ids, 0))


def first(values: Float[Array, "b n d"], mask: Bool[Array, "b n"]) -> Float[Array, "b d"]:
    """The first unmasked token; 0 where there is none."""
    index = jnp.argmax(mask, axis=1)
    return jnp.take_along_axis(masks.zeroed(values, mask), index[:, None, None], axis=1)[:, 0]


class AttentionPool(linen.Module):
    """One learned query that looks at every token (Lee et al., 2019, https://arxiv.org/abs/1810.00825)."""

    heads: int = 4
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "b n d"], mask: Bool[Array, "b n"]) -> Float[Array, "b d"]:
        probe = self.param("probe", linen.initializers.normal(1.0), (1, 1, values.shape[-1]))
        probe = jnp.broadcast_to(probe, (values.shape[0], 1, values.shape[-1])).astype(values.dtype)
        attention = Attention(self.heads, dtype=self.dtype, name="attention")
        pooled = attention(probe, masks.zeroed(values, mask), allowed=mask[:, None, None, :])
        return masks.zeroed(pooled[:, 0], masks.present(mask))
