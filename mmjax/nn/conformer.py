"""Layers that both look far by attention and near by convolution."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Tokens, UserError, masks, plain
from mmjax.nn.attention import Attention
from mmjax.nn.block import stacked
from mmjax.nn.feature import LayerNorm


class Near(linen.Module):
    """The conformer's convolution: gate, one kernel of ``kernel`` positions a feature, norm, swish, mix.

    Masked positions come in as 0. The norm is by position, where the paper has BatchNorm.
    """

    kernel: int
    dropout: float
    epsilon: float
    dtype: str

    @linen.compact
    def __call__(
        self, values: Float[Array, "b n d"], mask: Bool[Array, "b n"], *, train: bool
    ) -> Float[Array, "b n d"]:
        width, dtype = values.shape[-1], jnp.dtype(self.dtype)
        values = linen.glu(linen.Dense(2 * width, dtype=dtype, name="gate")(values))
        depthwise = linen.Conv(width, (self.kernel,), feature_group_count=width, dtype=dtype, name="depthwise")
        values = depthwise(masks.zeroed(values, mask))
        values = jax.nn.silu(LayerNorm(self.epsilon, dtype=dtype, name="norm")(values))
        values = linen.Dense(width, dtype=dtype, name="mix")(values)
        return linen.Dropout(self.dropout, deterministic=not train)(values)


class Layer(linen.Module):
    """Half an MLP, attention, a convolution, the other half, each added to what comes in; then a norm."""

    heads: int
    kernel: int = 15
    mlp: float = 4.0
    dropout: float = 0.0
    rotary: bool = False
    relative: int = 0
    epsilon: float = 1e-6
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b n d"],
        allowed: Bool[Array, "b #k n n"],
        positions: Int[Array, "#b n *a"] | None,
        mask: Bool[Array, "b n"],
        *,
        train: bool,
    ) -> Float[Array, "b n d"]:
        width, dtype = values.shape[-1], jnp.dtype(self.dtype)

        def dropped(values: Array) -> Array:
            return linen.Dropout(self.dropout, deterministic=not train)(values)

        def normed(name: str, values: Array) -> Array:
            return LayerNorm(self.epsilon, dtype=dtype, name=f"{name}_norm")(values)

        def half(name: str, values: Array) -> Array:
            hidden = linen.Dense(round(width * self.mlp), dtype=dtype, name=f"{name}_up")(normed(name, values))
            hidden = dropped(jax.nn.silu(hidden))
            return values + 0.5 * dropped(linen.Dense(width, dtype=dtype, name=f"{name}_down")(hidden))

        values = half("before", values)
        attention = Attention(**plain.common(Attention, self), name="attention")
        values += dropped(attention(normed("attention", values), allowed=allowed, positions=positions))
        near = Near(**plain.common(Near, self), name="near")
        values += near(normed("near", values), mask, train=train)
        return normed("layer", half("after", values))


class Conformer(linen.Module):
    """A trunk of ``depth`` conformer layers (Gulati et al., 2020, https://arxiv.org/abs/2005.08100): tokens to tokens.

    Each layer's convolution spans ``kernel`` tokens in their order; masked ones are silent, and come out as 0.
    Where the paper has BatchNorm after it, this has LayerNorm, for which padding does not exist; where the paper has
    the relative positions of Transformer-XL, ``relative`` has a bias for each of so many buckets of distances and
    ``rotary`` turns queries and keys. A ``depth`` of 0 changes nothing.

    Raises UserError for packed rows, whose examples a convolution would mix.
    """

    depth: int
    heads: int
    kernel: int = 15
    mlp: float = 4.0
    dropout: float = 0.0
    rotary: bool = False
    relative: int = 32
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        if tokens.segments is not None:
            raise UserError("nn.Conformer takes one example a row; its convolutions would mix packed ones")
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        if not self.depth:
            return tokens.replace(values=values)
        context: tuple[Any, ...] = (
            masks.attention(tokens.mask, tokens.mask),
            tokens.positions if self.rotary or self.relative else None,
            tokens.mask,
        )
        loop = {"depth": self.depth, "scan": self.scan, "remat": self.remat, "train": train}
        values = stacked(lambda name: Layer(**plain.common(Layer, self), name=name), values, *context, **loop)
        return tokens.replace(values=masks.zeroed(values, tokens.mask))
