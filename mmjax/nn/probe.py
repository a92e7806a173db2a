"""One learned token that looks at all others."""

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens, masks, plain
from mmjax.nn import norm
from mmjax.nn.attention import Attention
from mmjax.nn.mlp import Mlp


class Probe(linen.Module):
    """A row's tokens to one: what a learned query hears of them, and an MLP added to that.

    The attention pooling of scaled vision transformers (Zhai et al., 2021, https://arxiv.org/abs/2106.04560), as SigLIP
    has it. Raises UserError for packed rows.
    """

    heads: int
    mlp: float = 4.0
    activation: str = "gelu"
    key_bias: bool = False
    epsilon: float = 1e-6
    dtype: str = "float32"

    def tokens(self, count: int) -> int:
        """How many tokens it makes of so many."""
        return 1

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        masks.unpacked(tokens, of="nn.Probe")
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        query = self.param("query", linen.initializers.normal(1.0), (1, values.shape[-1]))
        query = jnp.broadcast_to(query, (len(values), 1, values.shape[-1])).astype(values.dtype)
        attention = Attention(**plain.common(Attention, self), name="attention")
        heard = attention(query, values, allowed=tokens.mask[:, None, None])
        mlp = Mlp(self.mlp, **plain.common(Mlp, self), name="mlp")
        normed = norm.features("layer", epsilon=self.epsilon, dtype=self.dtype, name="mlp_norm")(heard)
        here = masks.present(tokens.mask)[:, None]
        return Tokens(masks.zeroed(heard + mlp(normed, train=train), here), here)
