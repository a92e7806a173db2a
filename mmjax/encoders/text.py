"""Texts to tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, plain


class Text(linen.Module):
    """A transformer over token ids 0 .. ``vocabulary`` - 1; every token sees every other of its segment.

    ``length`` = 0 marks positions by sinusoids, any other value by that many learned vectors.
    ``dropout`` acts on what is embedded, too. Without ``positions`` the order of words is not told.
    A ``depth`` of 0 leaves the embedding alone.
    """

    vocabulary: int
    length: int = 0
    positions: bool = True
    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: bool = False
    dtype: str = "float32"

    def tokens(self, length: int) -> int:
        """How many tokens a text of so many gives."""
        return length

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        dtype = jnp.dtype(self.dtype)
        ids = jnp.where(signal.mask, signal.values, 0)
        values = linen.Embed(
            self.vocabulary, self.width, dtype=dtype, embedding_init=nn.embed.lookup_init, name="embed"
        )(ids)
        if self.positions:
            values += self._positions(signal).astype(dtype)
        values = linen.Dropout(self.dropout, deterministic=not train)(values)
        tokens = Tokens(values, signal.mask, signal.segments, signal.positions)
        return nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")(tokens, train=train)

    def _positions(self, signal: Signal) -> Float[Array, "b n d"]:
        positions = signal.positions
        if positions is None:
            positions = jnp.broadcast_to(jnp.arange(signal.values.shape[1]), signal.values.shape)
        if self.length:
            return nn.position.Learned(self.length, name="position")(positions, self.width)
        return nn.position.sinusoids(positions, self.width)
