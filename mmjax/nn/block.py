"""One layer of a transformer."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.nn.attention import Attention


class Mlp(linen.Module):
    """Up by ``ratio``, exact GELU, down again; position by position."""

    ratio: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "*b d"], *, train: bool) -> Float[Array, "*b d"]:
        width, dtype = values.shape[-1], jnp.dtype(self.dtype)
        hidden = linen.Dense(round(width * self.ratio), dtype=dtype, name="up")(values)
        hidden = linen.Dropout(self.dropout, deterministic=not train)(linen.gelu(hidden, approximate=False))
        return linen.Dense(width, dtype=dtype, name="down")(hidden)


class Block(linen.Module):
    """Pre-LN transformer layer (Xiong et al., 2020, https://arxiv.org/abs/2002.04745).

    ``dropout`` acts on what each branch adds; ``drop_path`` leaves out whole branches, row by row
    (stochastic depth, Huang et al., 2016, https://arxiv.org/abs/1603.09382).
    """

    heads: int
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    key_bias: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self, values: Float[Array, "b n d"], allowed: Bool[Array, "b #k n n"] | None, *, train: bool
    ) -> Float[Array, "b n d"]:
        dtype = jnp.dtype(self.dtype)

        def add(values: Array, branch: Array) -> Array:
            branch = linen.Dropout(self.dropout, deterministic=not train)(branch)
            return values + linen.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=not train)(branch)

        normed = linen.LayerNorm(dtype=dtype, name="attention_norm")(values)
        attention = Attention(self.heads, key_bias=self.key_bias, dtype=self.dtype, name="attention")
        values = add(values, attention(normed, allowed=allowed))
        normed = linen.LayerNorm(dtype=dtype, name="mlp_norm")(values)
        return add(values, Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name="mlp")(normed, train=train))


def apply(
    block: Block,
    values: Float[Array, "b n d"],
    allowed: Bool[Array, "b #k n n"] | None,
    *,
    train: bool,
    remat: bool = False,
    prevent_cse: bool = True,
) -> Float[Array, "b n d"]:
    """``block(values, allowed)``; with ``remat`` only its input is kept for the backward pass."""

    def step(block: Block, values: Array, allowed: Array | None) -> Array:
        return block(values, allowed, train=train)

    return linen.remat(step, prevent_cse=prevent_cse)(block, values, allowed) if remat else step(block, values, allowed)
