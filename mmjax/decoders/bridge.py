"""From what an encoder gives to what a decoder reads: tokens of the decoder's width."""

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, UserError, masks, plain


class Projector(linen.Module):
    """Two linear layers with a GELU between, each token by itself, as in LLaVA-1.5 (Liu et al., 2023,
    https://arxiv.org/abs/2310.03744). With ``deep=False`` the one layer of LLaVA (https://arxiv.org/abs/2304.08485).
    """

    width: int
    deep: bool = True
    dtype: str = "float32"

    def tokens(self, count: int) -> int:
        """How many tokens it makes of so many."""
        return count

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        if self.deep:
            values = nn.gelu(linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="up")(values))
        values = linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="down")(values)
        return tokens.replace(values=masks.zeroed(values, tokens.mask), positions=None)


class Latents(linen.Module):
    """Any number of tokens resampled to ``latents``, as in Flamingo (Alayrac et al., 2022,
    https://arxiv.org/abs/2204.14198), whose resampler has six layers and marks frames by their time; here encoders
    mark positions. Raises UserError for packed rows.
    """

    width: int
    latents: int = 64
    depth: int = 1
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    def tokens(self, count: int) -> int:
        """How many tokens it makes of so many."""
        return self.latents

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        own = _projected(tokens, self.width, self.dtype)
        return nn.Resampler(**plain.common(nn.Resampler, self), name="resampler")(own, train=train)


class Mean(linen.Module):
    """All tokens to one, their mean in the decoder's width: what late fusion takes of a modality (``fusion.Late``).

    What is said in bags of words is learned from fewer examples so than by looking at each word. Raises UserError for
    packed rows.
    """

    width: int
    dtype: str = "float32"

    def tokens(self, count: int) -> int:
        """How many tokens it makes of so many."""
        return 1

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        return _projected(nn.pool.means(tokens), self.width, self.dtype)


class Queries(linen.Module):
    """What ``queries`` learned tokens find out: the Q-Former of BLIP-2 (``nn.query``), in the decoder's own width.

    Raises UserError for packed rows.
    """

    width: int
    queries: int = 32
    depth: int = 2
    heads: int = 4
    every: int = 2
    mlp: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    def tokens(self, count: int) -> int:
        """How many tokens it makes of so many."""
        return self.queries

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        if self.every < 1:
            raise UserError(f"every={self.every} must be 1 (each layer looks at the tokens) or more")
        masks.unpacked(tokens, of="decoders.Queries")
        own = _projected(tokens, self.width, self.dtype)
        return nn.query.asked(self, own, masks.present(tokens.mask), train=train)


def _projected(tokens: Tokens, width: int, dtype: str) -> Tokens:
    """In another width, by a layer that the calling module holds."""
    values = masks.zeroed(tokens.values, tokens.mask)
    return tokens.replace(values=linen.Dense(width, dtype=jnp.dtype(dtype), name="project")(values), positions=None)
