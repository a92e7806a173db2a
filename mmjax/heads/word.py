"""Which of many words stands at each place."""

import jax
import jax.numpy as jnp
from flax import linen

from mmjax.core import Factored, Tokens, masks


class Words(linen.Module):
    """Logits of ``vocabulary`` words for every token, as their factors: features ``b n d`` and kernel ``d k``.

    A loss that knows factors never holds ``b n k`` logits (``objectives.CrossEntropy``). Reads what is fused, or one
    ``stream`` alone; ``apart``: what it reads learns nothing from it. There is no bias.
    """

    vocabulary: int
    stream: str = ""
    apart: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Factored:
        values = jax.lax.stop_gradient(tokens.values) if self.apart else tokens.values
        values = masks.zeroed(values, tokens.mask).astype(jnp.dtype(self.dtype))
        shape = (values.shape[-1], self.vocabulary)
        return Factored(values, self.param("kernel", linen.initializers.lecun_normal(), shape))
