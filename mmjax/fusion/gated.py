"""Gated units: each feature decides how much of each modality it takes."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks
from mmjax.fusion import pooled


class Gated(linen.Module):
    """Gated multimodal unit (GMU, Arevalo et al., 2017, https://arxiv.org/abs/1702.01992).

    The sum over streams of a sigmoid gate, which all streams' means set, times the tanh of the stream's own
    projection. Gates are not tied to each other, which is the paper's form for any number of modalities. An absent
    stream adds nothing, to gates and sum. One token a row, or one for each of up to ``segments`` packed examples.
    """

    width: int = 64
    segments: int = 0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        means = pooled.means(streams, segments=self.segments)
        dtype = jnp.dtype(self.dtype)
        total = []
        for name, part in means.items():
            gate = sum(
                linen.Dense(self.width, use_bias=source == name, dtype=dtype, name=f"gate_{name}_from_{source}")(
                    other.values
                )
                for source, other in means.items()
            )
            hidden = jnp.tanh(nn.embed.project(self.width, stream=name, dtype=self.dtype)(part.values))
            total.append(masks.zeroed(linen.sigmoid(jnp.asarray(gate)) * hidden, part.mask))
        return pooled.token(jnp.asarray(sum(total)), means, segments=self.segments)
