"""Tensor products of streams."""

import functools
import itertools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, UserError, masks
from mmjax.fusion import pooled

LARGEST = 2**16  # numbers in one product


class Tensor(linen.Module):
    """Tensor fusion (Zadeh et al., 2017, https://arxiv.org/abs/1707.07250): one linear layer over the outer product.

    Each stream's mean is projected to ``size`` features with a constant 1 appended, and the outer product of all is
    taken. Its entries are the products over every subset of the streams; here each subset has its own kernel, which
    is the same layer, and an absent stream leaves its 1 alone. So the layer is there for any number of streams, at
    (size + 1) ** streams times ``width`` parameters. One token a row, or one for each of up to ``segments`` packed
    examples.

    Raises UserError where a product would have more than 65,536 entries.
    """

    width: int = 64
    size: int = 16
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        means = pooled.means(streams, segments=self.segments)
        if self.size ** len(means) > LARGEST:
            raise UserError(
                f"fusion.Tensor(size={self.size}) of {len(means)} streams has products of {self.size ** len(means):,} "
                f"entries; lower size, or use fusion.LowRank"
            )
        parts = {
            name: masks.zeroed(nn.embed.project(self.size, stream=name, dtype=self.dtype)(part.values), part.mask)
            for name, part in means.items()
        }
        total = self.param("bias", linen.initializers.normal(0.02), (self.width,)).astype(jnp.dtype(self.dtype))
        for chosen in subsets(list(parts)):
            product = functools.reduce(outer, [parts[name] for name in chosen])
            join = linen.Dense(self.width, use_bias=False, dtype=jnp.dtype(self.dtype), name="join_" + "+".join(chosen))
            total += join(product)
        return pooled.token(total, means, segments=self.segments)


def outer(one: jax.Array, other: jax.Array) -> jax.Array:
    """All products of a number of ``one`` with a number of ``other``, over the last axis."""
    return (one[..., :, None] * other[..., None, :]).reshape(*one.shape[:-1], -1)


def subsets(names: list[str], largest: int | None = None) -> list[tuple[str, ...]]:
    """Every choice of one to ``largest`` names (None: of all), the small ones first."""
    sizes = range(1, (largest or len(names)) + 1)
    return [chosen for size in sizes for chosen in itertools.combinations(names, size)]
