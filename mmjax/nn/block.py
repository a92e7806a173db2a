"""One layer of a transformer."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import plain
from mmjax.nn.attention import Attention
from mmjax.nn.remat import layer


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
    """Transformer layer: norm, attention, norm, MLP (pre-LN, Xiong et al., 2020, https://arxiv.org/abs/2002.04745).

    Without ``norm_first`` each norm comes after its branch was added, as in the first transformers (Vaswani et al.,
    2017, https://arxiv.org/abs/1706.03762). ``dropout`` acts on what each branch adds; ``drop_path`` leaves out
    whole branches, row by row (stochastic depth, Huang et al., 2016, https://arxiv.org/abs/1603.09382).
    """

    heads: int
    kv_heads: int = 0
    head_size: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    causal: bool = False
    band: int = 0
    key_bias: bool = False
    rotary: bool = False
    relative: int = 0
    norm_first: bool = True
    epsilon: float = 1e-6
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b n d"],
        allowed: Bool[Array, "b #k n n"] | None,
        positions: Int[Array, "#b n *a"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "b n d"]:
        def add(values: Array, branch: Array) -> Array:
            branch = linen.Dropout(self.dropout, deterministic=not train)(branch)
            return values + linen.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=not train)(branch)

        attention_norm = linen.LayerNorm(self.epsilon, dtype=jnp.dtype(self.dtype), name="attention_norm")
        attention = Attention(**plain.common(Attention, self), name="attention")
        mlp_norm = linen.LayerNorm(self.epsilon, dtype=jnp.dtype(self.dtype), name="mlp_norm")
        mlp = Mlp(self.mlp, dropout=self.dropout, dtype=self.dtype, name="mlp")
        if self.norm_first:
            values = add(values, attention(attention_norm(values), allowed=allowed, positions=positions))
            return add(values, mlp(mlp_norm(values), train=train))
        values = attention_norm(add(values, attention(values, allowed=allowed, positions=positions)))
        return mlp_norm(add(values, mlp(values, train=train)))


def apply(
    block: Any, values: Float[Array, "b n d"], *context: Any, train: bool, remat: str = "keep", looped: bool = False
) -> Float[Array, "b n d"]:
    """``block(values, *context)``, of which the backward pass finds what ``nn.remat`` says under that name."""

    def step(block: Any, values: Array, *context: Any) -> Array:
        return block(values, *context, train=train)

    return layer(remat, step, looped=looped)(block, values, *context)


def stacked(
    make: Callable[[str], Any],
    values: Float[Array, "b n d"],
    *context: Any,
    depth: int,
    scan: bool,
    remat: str,
    train: bool,
) -> Float[Array, "b n d"]:
    """``depth`` blocks one after the other, each made by its name, as ``block(values, *context)``.

    With ``scan`` one body is compiled for all, whose parameters are stacked under ``blocks``.
    """
    if not scan:
        for i in range(depth):
            values = apply(make(f"block_{i}"), values, *context, train=train, remat=remat)
        return values

    def step(block: Any, carry: Array, *context: Any) -> tuple[Array, None]:
        return apply(block, carry, *context, train=train, remat=remat, looped=True), None

    layers = linen.scan(
        step,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=linen.broadcast,  # pyright: ignore[reportArgumentType]
        length=depth,
    )
    return layers(make("blocks"), values, *context)[0]
