"""Bottleneck fusion: modalities that speak through a few shared tokens."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Tokens, masks, plain
from mmjax.fusion import stream


class Bottleneck(linen.Module):
    """Multimodal bottleneck transformer (MBT, Nagrani et al., 2021, https://arxiv.org/abs/2107.00135).

    Every modality has its own layers over its own tokens. From layer ``start`` on, ``bottlenecks`` shared
    tokens join each modality, and what the modalities made of them is averaged over those present in the row.
    Gives all the modalities' tokens, in the order of their names, then the bottlenecks. With ``start`` =
    ``depth`` the modalities never meet and there are no bottlenecks.

    Raises UserError for packed rows, where shared tokens would mix the examples.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    bottlenecks: int = 4
    start: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    remat: str = "keep"
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        names, dtype = sorted(streams), jnp.dtype(self.dtype)
        stream.unpacked(streams, "fusion.Bottleneck")
        projected = stream.projected(streams, width=self.width, dtype=self.dtype)
        own = {name: projected[name].values for name in names}
        here = {name: masks.present(streams[name].mask) for name in names}
        shared = self._start(len(own[names[0]]))
        for i in range(self.depth):
            met = shared if i >= self.start else shared[:, :0]
            heard = {}
            for name in names:
                own[name], heard[name] = self._layer(f"block_{i}_{name}", own[name], met, streams[name].mask, train)
            shared = _average(heard, here, shared) if i >= self.start else shared
        own = {name: nn.LayerNorm(dtype=dtype, name=f"norm_{name}")(own[name]) for name in names}
        if shared.shape[1]:
            shared = nn.LayerNorm(dtype=dtype, name="norm")(shared)
        anyone = stream.anyone(streams)
        values = jnp.concatenate([*(own[name] for name in names), shared], axis=1)
        mask = jnp.concatenate([*(streams[name].mask for name in names), _repeated(anyone, shared)], axis=1)
        return Tokens(masks.zeroed(values, mask), mask)

    def _start(self, rows: int) -> Float[Array, "b s d"]:
        if self.start >= self.depth:
            return jnp.zeros((rows, 0, self.width), jnp.dtype(self.dtype))
        shared = self.param("bottleneck", linen.initializers.normal(0.02), (self.bottlenecks, self.width))
        return jnp.broadcast_to(shared.astype(jnp.dtype(self.dtype)), (rows, *shared.shape))

    def _layer(
        self,
        name: str,
        own: Float[Array, "b n d"],
        shared: Float[Array, "b s d"],
        mask: Bool[Array, "b n"],
        train: bool,
    ) -> tuple[Float[Array, "b n d"], Float[Array, "b s d"]]:
        block = nn.Block(**plain.common(nn.Block, self), name=name)
        everyone = jnp.concatenate([mask, jnp.ones(shared.shape[:2], bool)], axis=1)
        tokens = jnp.concatenate([own, shared], axis=1)
        tokens = nn.block.apply(block, tokens, masks.attention(everyone, everyone), train=train, remat=self.remat)
        return tokens[:, : own.shape[1]], tokens[:, own.shape[1] :]


def _average(
    heard: Mapping[str, Float[Array, "b s d"]], here: Mapping[str, Bool[Array, " b"]], before: Float[Array, "b s d"]
) -> Float[Array, "b s d"]:
    """Mean of the bottlenecks over the modalities present in each row; as before where there are none."""
    names = sorted(heard)
    count = jnp.sum(jnp.stack([here[name] for name in names]), axis=0)[:, None, None]
    total = jnp.sum(jnp.stack([masks.zeroed(heard[name], _repeated(here[name], before)) for name in names]), axis=0)
    return jnp.where(count > 0, total / jnp.maximum(count, 1).astype(total.dtype), before)


def _repeated(rows: Bool[Array, " b"], tokens: Float[Array, "b s d"]) -> Bool[Array, "b s"]:
    return jnp.broadcast_to(rows[:, None], tokens.shape[:2])
