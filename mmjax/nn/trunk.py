"""A stack of transformer layers over masked tokens."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array

from mmjax.core import Tokens, masks, plain
from mmjax.nn.block import Block, apply


class Trunk(linen.Module):
    """``depth`` blocks and a last LayerNorm; a ``depth`` of 0 changes nothing, a norm included.

    Masked tokens take no part and come out as 0. Tokens with ``segments`` see their own segment alone.
    ``scan`` compiles one layer for all (quick to compile, parameters stacked under ``blocks``, slower
    steps on a CPU); ``remat`` keeps only each layer's input for the backward pass.
    """

    depth: int
    heads: int
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    key_bias: bool = False
    scan: bool = False
    remat: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        values = masks.zeroed(tokens.values, tokens.mask).astype(dtype)
        if (
            not self.depth
        ):  # norms make all tokens equally loud, and how loud a word is may be all that a bag of them has
            return tokens.replace(values=values)
        allowed = masks.attention(
            tokens.mask, tokens.mask, query_segments=tokens.segments, key_segments=tokens.segments
        )
        if self.scan:
            values = self._scanned(values, allowed, train)
        else:
            for i in range(self.depth):
                values = apply(self._block(f"block_{i}"), values, allowed, train=train, remat=self.remat)
        values = linen.LayerNorm(dtype=dtype, name="norm")(values)
        return tokens.replace(values=masks.zeroed(values, tokens.mask))

    def _block(self, name: str) -> Block:
        return Block(**plain.common(Block, self), name=name)

    def _scanned(self, values: Array, allowed: Array, train: bool) -> Array:
        def step(block: Block, carry: Array, allowed: Array) -> tuple[Array, None]:
            # A loop's body is never merged with its recomputation, so it needs no barrier against that.
            return apply(block, carry, allowed, train=train, remat=self.remat, prevent_cse=False), None

        layers = linen.scan(
            step,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=linen.broadcast,  # pyright: ignore[reportArgumentType]
            length=self.depth,
        )
        return layers(self._block("blocks"), values, allowed)[0]
