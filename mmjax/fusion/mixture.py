"""A mixture of experts, some for each modality."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks
from mmjax.fusion import pooled


class Mixture(linen.Module):
    """Experts' vectors, weighted by a gate that hears all streams.

    Adaptive mixtures of local experts (Jacobs et al., 1991, https://doi.org/10.1162/neco.1991.3.1.79) with ``experts``
    for each modality, whose weights are a softmax over those of the modalities that are present, as in Miech et al.,
    2018 (https://arxiv.org/abs/1804.02516), who have one. An expert is an MLP over its stream's mean, whose first layer
    the stream's experts share. One token a row, or one for each of up to ``segments`` packed examples.
    """

    width: int = 64
    experts: int = 4
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        dtype = jnp.dtype(self.dtype)
        means = pooled.means(streams, segments=self.segments)
        parts, heard = {}, []
        for name, part in means.items():
            hidden = nn.embed.project(self.width, stream=name, dtype=self.dtype)(part.values)
            hidden = nn.gelu(hidden)
            expert = linen.DenseGeneral((self.experts, self.width), dtype=dtype, name=f"expert_{name}")
            parts[name] = expert(hidden)
            heard.append(
                masks.zeroed(linen.Dense(self.width, dtype=dtype, name=f"hear_{name}")(part.values), part.mask)
            )
        context = nn.gelu(jnp.asarray(sum(heard)))
        scores = {name: linen.Dense(self.experts, dtype=dtype, name=f"gate_{name}")(context) for name in parts}
        shares = pooled.shares(scores, means)
        total = sum(jnp.sum(shares[name].astype(dtype)[..., None] * part, axis=-2) for name, part in parts.items())
        return pooled.token(jnp.asarray(total), means, segments=self.segments)
