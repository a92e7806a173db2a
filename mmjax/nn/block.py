"""One layer of a transformer."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import LOSSES, Tokens, UserError, masks, plain
from mmjax.nn import cache, norm
from mmjax.nn.attention import Attention
from mmjax.nn.cross import CrossBlock
from mmjax.nn.mixture import Mixture
from mmjax.nn.mlp import Mlp
from mmjax.nn.remat import layer


class Block(linen.Module):
    """Transformer layer: norm, attention, norm, MLP (pre-LN, Xiong et al., 2020, https://arxiv.org/abs/2002.04745).

    Without ``norm_first`` each norm comes after its branch was added, as in the first transformers (Vaswani et al.,
    2017, https://arxiv.org/abs/1706.03762). ``norm`` is a kind of ``nn.norm.features``. ``dropout`` acts on what each
    branch adds; ``drop_path`` leaves out whole branches, row by row (stochastic depth, Huang et al., 2016,
    https://arxiv.org/abs/1603.09382). With ``experts`` a mixture of so many stands in place of
    the MLP (``nn.Mixture``).

    With ``cross`` the tokens look at a ``memory``, too, by an ``nn.CrossBlock``: between the two branches, as in the
    first transformers, or with ``cross_gate`` before both, with an MLP of its own, through gates that begin shut
    (Flamingo, Alayrac et al., 2022, https://arxiv.org/abs/2204.14198). Without a memory they hear nothing.
    """

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
    cross: bool = False
    cross_gate: bool = False
    activation: str = "gelu"
    gated: bool = False
    bias: bool = True
    key_bias: bool = False
    rotary: bool = False
    relative: int = 0
    norm: str = "layer"
    norm_first: bool = True
    epsilon: float = 1e-6
    stddev: float = 0.0
    shrink: float = 1.0
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b n d"],
        allowed: Bool[Array, "b #k n m"] | masks.Among | cache.Looked | None,
        positions: Int[Array, "#b n *a"] | None = None,
        memory: Tokens | None = None,
        *,
        train: bool,
    ) -> Float[Array, "b n d"]:
        def add(values: Array, branch: Array) -> Array:
            branch = linen.Dropout(self.dropout, deterministic=not train)(branch)
            return values + linen.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=not train)(branch)

        attention_norm = norm.features(self.norm, epsilon=self.epsilon, dtype=self.dtype, name="attention_norm")
        attention = Attention(**plain.common(Attention, self), name="attention")
        mlp_norm = norm.features(self.norm, epsilon=self.epsilon, dtype=self.dtype, name="mlp_norm")
        mlp = self._mixture(allowed) if self.experts else Mlp(self.mlp, **plain.common(Mlp, self), name="mlp")
        before, between = self.cross and self.cross_gate, self.cross and not self.cross_gate
        values = self._crossed(values, allowed, memory, train) if before else values
        if self.norm_first:
            values = add(values, attention(attention_norm(values), allowed=allowed, positions=positions))
            values = self._crossed(values, allowed, memory, train) if between else values
            return add(values, mlp(mlp_norm(values), train=train))
        values = attention_norm(add(values, attention(values, allowed=allowed, positions=positions)))
        values = self._crossed(values, allowed, memory, train) if between else values
        return mlp_norm(add(values, mlp(values, train=train)))

    @linen.nowrap
    def _crossed(self, values: Array, allowed: Any, memory: Tokens | None, train: bool) -> Array:
        """The tokens with what they heard of the memory, which for packed rows is of their own segment."""
        fields: dict[str, Any] = plain.common(CrossBlock, self)
        fields |= {"mlp": self.mlp if self.cross_gate else 0.0, "gated": self.cross_gate, "swish": self.gated}
        cross = CrossBlock(**fields, context_norm=False, name="cross")
        segments = allowed.segments if isinstance(allowed, masks.Among) else None
        tokens = Tokens(values, jnp.ones(values.shape[:2], bool), segments)
        return cross(tokens, memory, train=train, keep=isinstance(allowed, cache.Looked)).values

    @linen.nowrap
    def _mixture(self, allowed: Array | masks.Among | cache.Looked | None) -> Callable[..., Array]:
        """Experts, of which tokens that may not look at themselves, as padding, ask none."""
        if isinstance(allowed, cache.Looked):
            return self._mixture(allowed.allowed)
        mixture = Mixture(**plain.common(Mixture, self), ratio=self.mlp, name="mixture")
        if isinstance(allowed, masks.Among):
            if allowed.segments is not None and self.capacity:
                raise UserError(f"capacity={self.capacity} of experts would be shared by what packs a row; set it to 0")
            real = allowed.mask
        elif allowed is None or allowed.shape[2] != allowed.shape[3]:  # all real, or one after the other from a cache
            real = None
        else:
            real = jnp.any(jnp.diagonal(allowed, axis1=2, axis2=3), axis=1)
        return lambda values, train: mixture(values, real, train=train)


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
        variable_axes={"params": 0, cache.NAME: 0, LOSSES: 0, "intermediates": 0},  # the last where they are asked for
        split_rngs={"params": True, "dropout": True},
        in_axes=linen.broadcast,  # pyright: ignore[reportArgumentType]
        length=depth,
    )
    return layers(make("blocks"), values, *context)[0]
