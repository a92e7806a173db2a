"""A stack of transformer layers over masked tokens."""

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens, UserError, masks, plain
from mmjax.nn import cache
from mmjax.nn import norm as norms
from mmjax.nn.block import Block, stacked


class Trunk(linen.Module):
    """``depth`` blocks and a last LayerNorm; a ``depth`` of 0 changes nothing, a norm included.

    Masked tokens take no part and come out as 0. Tokens with ``segments`` see their own segment alone.
    Without ``norm_first`` the blocks norm what they have added up, and the trunk's norm comes before them, as in BERT.
    ``causal``, ``band``, ``kv_heads`` and ``head_size`` are those of ``nn.Attention``: of a causal trunk each token
    knows those before it alone. ``bands`` are taken by the layers in turn, in place of one ``band`` for all. ``rotary``
    and ``relative`` read the tokens' positions. Without ``outer_norm`` there are the blocks alone. ``scan`` compiles
    one layer for all (quick to compile, parameters stacked under ``blocks``, slower steps on a CPU); ``remat`` says
    what layers keep for the backward pass (``nn.remat``).

    Given ``slots``, a causal trunk keeps keys and values in as many (``nn.cache``); tokens then need positions.
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
    bands: tuple[int, ...] = ()
    activation: str = "gelu"
    gated: bool = False
    bias: bool = True
    key_bias: bool = False
    rotary: bool = False
    relative: int = 0
    norm: str = "layer"
    norm_first: bool = True
    outer_norm: bool = True
    epsilon: float = 1e-6
    stddev: float = 0.0
    shrink: float = 1.0
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool, slots: int = 0) -> Tokens:
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        if (
            not self.depth
        ):  # norms make all tokens equally loud, and how loud a word is may be all that a bag of them has
            return tokens.replace(values=values)
        allowed = masks.Among.of(tokens)
        if slots:
            allowed = cache.looked(self, tokens.mask, tokens.positions, slots)  # pyright: ignore[reportArgumentType]
        positions = tokens.positions if self.rotary or self.relative or slots else None
        outer = self.outer_norm and norms.features(self.norm, epsilon=self.epsilon, dtype=self.dtype, name="norm")
        values = outer(values) if outer and not self.norm_first else values
        loop = {"depth": self.depth, "scan": self.scan, "remat": self.remat, "train": train}
        values = stacked(self._block, values, allowed, positions, **loop)
        values = outer(values) if outer and self.norm_first else values
        return tokens.replace(values=masks.zeroed(values, tokens.mask))

    def _block(self, name: str) -> Block:
        fields = plain.common(Block, self)
        if len(set(self.bands)) > 1 and self.scan:
            raise UserError(f"bands={self.bands} differ from layer to layer, and scan compiles one layer for all")
        if self.bands:
            fields["band"] = self.bands[0 if self.scan else int(name.rpartition("_")[2]) % len(self.bands)]
        return Block(**fields, name=name)
