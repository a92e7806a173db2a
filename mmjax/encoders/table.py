"""Rows of a table to tokens."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks, plain


class Table(linen.Module):
    """One token a column (FT-Transformer, Gorishniy et al., 2021, https://arxiv.org/abs/2106.11959).

    ``cardinalities`` tells the columns in order: 0 is a number, which scales its column's vector; any other
    value is a category with so many codes 0, 1, ..., each with a vector of its own. A missing cell is a masked
    token. The paper reads its answer off one class token (``class_tokens=1``) and gates its MLPs by ReLU, where these
    have GELU. A ``depth`` of 0 leaves the embedding alone.

    Raises UserError where the table has another number of columns, and for packed rows.
    """

    cardinalities: Sequence[int]
    width: int = 64
    depth: int = 2
    heads: int = 4
    class_tokens: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self) -> int:
        """How many tokens a row gives."""
        return self.class_tokens + len(self.cardinalities)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        masks.unpacked(signal, of="encoders.Table")
        cells = masks.zeroed(signal.values, signal.mask).astype(jnp.float32)  # b f
        sizes = np.asarray(self.cardinalities, int)
        if cells.shape[1] != len(sizes):
            raise UserError(
                f"the table has {cells.shape[1]} columns, cardinalities has {len(sizes)}; give one for each"
            )
        numbers, categories = np.flatnonzero(sizes == 0), np.flatnonzero(sizes)
        parts = []
        if len(numbers):
            scale = self.param("scale", nn.embed.lookup_init, (len(numbers), self.width))
            parts.append(cells[:, numbers, None] * scale)
        if len(categories):
            first = np.cumsum(sizes[categories]) - sizes[categories]  # each column's own stretch of one table
            codes = jnp.clip(cells[:, categories].astype(jnp.int32), 0, sizes[categories] - 1) + first
            parts.append(
                linen.Embed(int(sizes.sum()), self.width, embedding_init=nn.embed.lookup_init, name="embed")(codes)
            )
        order = np.argsort(np.concatenate([numbers, categories]))
        bias = self.param("bias", nn.embed.lookup_init, (len(sizes), self.width))
        values = (jnp.concatenate(parts, axis=1)[:, order] + bias).astype(jnp.dtype(self.dtype))
        tokens = nn.embed.ClassTokens(self.class_tokens, name="class")(Tokens(values, signal.mask))
        tokens = nn.kept.only(tokens, signal.kept)
        return nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")(tokens, train=train)
