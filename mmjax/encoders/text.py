"""Texts to tokens."""

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, plain


class Text(linen.Module):
    """A transformer over token ids 0 .. ``vocabulary`` - 1; every token sees every other of its segment.

    With ``causal`` it sees itself and those before it alone, of these the nearest ``band`` where that is not 0;
    ``kv_heads`` are those of ``nn.Attention``.

    ``positions`` are sinusoidal, learned (``length`` of them), rotary, relative or none, which does not tell the order
    of words. ``dropout`` acts on what is embedded, too. A ``depth`` of 0 leaves the embedding alone.

    BERT (Devlin et al., 2018, https://arxiv.org/abs/1810.04805) is ``positions="learned", length=512, types=2,
    key_bias=True, norm_first=False, epsilon=1e-12`` (``zoo.bert``): each token is given the vector of its type, which
    here is the first of them, as in a single text.
    """

    vocabulary: int
    positions: str = "sinusoidal"
    length: int = 0
    types: int = 0
    width: int = 64
    depth: int = 2
    heads: int = 4
    kv_heads: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    causal: bool = False
    band: int = 0
    activation: str = "gelu"
    key_bias: bool = False
    norm_first: bool = True
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, length: int) -> int:
        """How many tokens a text of so many gives."""
        return length

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        dtype = jnp.dtype(self.dtype)
        ids = jnp.where(signal.mask, signal.values, 0)
        values = linen.Embed(
            self.vocabulary, self.width, dtype=dtype, embedding_init=nn.embed.lookup_init, name="embed"
        )(ids)
        positions = signal.positions
        if positions is None:
            positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        values = nn.position.marked(values, positions, kind=self.positions, length=self.length)
        if self.types:
            table = self.param("type", linen.initializers.normal(0.02), (self.types, self.width))
            values += table[0].astype(values.dtype)
        values = linen.Dropout(self.dropout, deterministic=not train)(values)
        tokens = Tokens(values, signal.mask, signal.segments, signal.positions)
        return trunk(nn.kept.only(tokens, signal.kept), train=train)
