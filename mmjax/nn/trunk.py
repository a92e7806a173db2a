"""A stack of transformer layers over masked tokens."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import LOSSES, Tokens, UserError, masks, plain
from mmjax.nn import cache
from mmjax.nn import norm as norms
from mmjax.nn.block import Block, apply, stacked


class Trunk(linen.Module):
    """``depth`` blocks and a last LayerNorm; a ``depth`` of 0 changes nothing, a norm included.

    Masked tokens take no part and come out as 0. Tokens with ``segments`` see their own segment alone.
    Without ``norm_first`` the blocks norm what they have added up, and the trunk's norm comes before them, as in BERT.
    ``causal``, ``band``, ``kv_heads`` and ``head_size`` are those of ``nn.Attention``: of a causal trunk each token
    knows those before it alone. ``bands`` are taken by the layers in turn, in place of one ``band`` for all. ``rotary``
    and ``relative`` read the tokens' positions. Without ``outer_norm`` there are the blocks alone. ``experts``,
    ``chosen``, ``capacity`` and ``balance`` are those of ``nn.Mixture``. ``scan`` compiles one layer for all (quick to
    compile, parameters stacked under ``blocks``, slower steps on a CPU); ``remat`` says what layers keep for the
    backward pass (``nn.remat``).

    ``cross`` = n: before or within every n-th layer, the n-th the first, tokens look at a ``memory``, too, with
    ``cross_gate`` through gates that begin shut (``nn.Block``).

    Given ``slots``, a causal trunk keeps keys and values in as many (``nn.cache``); tokens then need positions.
    """

    depth: int
    heads: int
    kv_heads: int = 0
    head_size: int = 0
    mlp: float = 4.0
    experts: int = 0
    chosen: int = 2
    capacity: float = 1.25
    balance: float = 0.01
    dropout: float = 0.0
    drop_path: float = 0.0
    causal: bool = False
    band: int = 0
    bands: tuple[int, ...] = ()
    cross: int = 0
    cross_gate: bool = False
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
    def __call__(self, tokens: Tokens, *, train: bool, slots: int = 0, memory: Tokens | None = None) -> Tokens:
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        if (
            not self.depth
        ):  # norms make all tokens equally loud, and how loud a word is may be all that a bag of them has
            return tokens.replace(values=values)
        allowed, memory = masks.Among.of(tokens), memory if self.cross else None
        if slots:
            memory = cache.remembered(self, memory)
            allowed = cache.looked(self, tokens.mask, tokens.positions, slots)  # pyright: ignore[reportArgumentType]
        positions = tokens.positions if self.rotary or self.relative or slots else None
        outer = self.outer_norm and norms.features(self.norm, epsilon=self.epsilon, dtype=self.dtype, name="norm")
        values = outer(values) if outer and not self.norm_first else values
        values = self.layers(values, allowed, positions, memory, train=train)
        values = outer(values) if outer and self.norm_first else values
        return tokens.replace(values=masks.zeroed(values, tokens.mask))

    def layers(
        self,
        values: Float[Array, "b n d"],
        allowed: Bool[Array, "b #k n m"] | masks.Among | cache.Looked | None,
        positions: Int[Array, "#b n *a"] | None,
        memory: Tokens | None,
        *,
        train: bool,
    ) -> Float[Array, "b n d"]:
        """All blocks one after the other. Where they lie on several devices, the mesh puts its own way here."""
        loop = {"depth": self.depth, "scan": self.scan, "remat": self.remat, "train": train}
        return stacked(self._block, values, allowed, positions, memory, **loop)

    def _block(self, name: str) -> Block:
        return Block(**self._fields(name), name=name)

    @linen.nowrap
    def layer(self, *, train: bool) -> Callable[..., tuple[Array, Array]]:
        """One of the scanned blocks as a pure function ``(params, values, (allowed, positions, memory), key)``.

        It gives the values and the sum of what the block itself wants small.
        """

        def step(block: Block, values: Array, context: Any) -> Array:
            return apply(block, values, *context, train=train, remat=self.remat, looped=True)

        pure = linen.apply(step, Block(**self._fields("blocks"), parent=None), mutable=[LOSSES])

        def layer(params: Any, values: Array, context: Any, key: Array | None) -> tuple[Array, Array]:
            rngs = None if key is None else {"dropout": key}
            out, wishes = pure({"params": params}, values, context, rngs=rngs)
            return out, sum(map(jnp.sum, jax.tree.leaves(wishes)), jnp.zeros(()))

        return layer

    @linen.nowrap
    def _fields(self, name: str) -> dict[str, Any]:
        fields = plain.common(Block, self)
        for what, differ in (("bands", len(set(self.bands)) > 1), ("cross", self.cross > 1)):
            if differ and self.scan:
                value = getattr(self, what)
                raise UserError(f"{what}={value} differ from layer to layer, and scan compiles one layer for all")
        number = 0 if self.scan else int(name.rpartition("_")[2])
        if self.bands:
            fields["band"] = self.bands[number % len(self.bands)]
        fields["cross"] = bool(self.cross) and (number + 1) % self.cross == 0
        return fields
