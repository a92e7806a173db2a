"""A stack of transformer layers over masked tokens."""

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens, masks, plain
from mmjax.nn.block import Block, stacked


class Trunk(linen.Module):
    """``depth`` blocks and a last LayerNorm; a ``depth`` of 0 changes nothing, a norm included.

    Masked tokens take no part and come out as 0. Tokens with ``segments`` see their own segment alone.
    Without ``norm_first`` the blocks norm what they have added up, and the trunk's norm comes before them, as in BERT.
    ``causal``, ``band``, ``kv_heads`` and ``head_size`` are those of ``nn.Attention``: of a causal trunk each token
    knows those before it alone. ``rotary`` and ``relative`` read the tokens' positions. ``scan`` compiles one layer
    for all (quick to compile, parameters stacked under ``blocks``, slower steps on a CPU); ``remat`` says what layers
    keep for the backward pass (``nn.remat``).
    """

    depth: int
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
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        if (
            not self.depth
        ):  # norms make all tokens equally loud, and how loud a word is may be all that a bag of them has
            return tokens.replace(values=values)
        allowed = masks.attention(
            tokens.mask, tokens.mask, query_segments=tokens.segments, key_segments=tokens.segments
        )
        positions = tokens.positions if self.rotary or self.relative else None
        norm = linen.LayerNorm(self.epsilon, dtype=jnp.dtype(self.dtype), name="norm")
        values = values if self.norm_first else norm(values)
        loop = {"depth": self.depth, "scan": self.scan, "remat": self.remat, "train": train}
        values = stacked(lambda name: Block(**plain.common(Block, self), name=name), values, allowed, positions, **loop)
        values = norm(values) if self.norm_first else values
        return tokens.replace(values=masks.zeroed(values, tokens.mask))
