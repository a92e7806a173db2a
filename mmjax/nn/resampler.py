"""Any number of tokens to a few."""

import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens, UserError, masks, plain
from mmjax.nn.cross import CrossBlock
from mmjax.nn.feature import LayerNorm


class Resampler(linen.Module):
    """Learned ``latents`` that look at all tokens, and at each other, in ``depth`` layers of cross-attention.

    After the Perceiver (Jaegle et al., 2021, https://arxiv.org/abs/2103.03206), as Flamingo has it (Alayrac et al.,
    2022, https://arxiv.org/abs/2204.14198): the latents stand beside the tokens as keys. A row without tokens has
    no latents either.

    Raises UserError for packed rows, where latents would mix the examples.
    """

    latents: int
    depth: int
    heads: int
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        if tokens.segments is not None:
            raise UserError("latents take one example a row; these rows are packed")
        dtype = jnp.dtype(self.dtype)
        rows, _, width = tokens.values.shape
        here = jnp.broadcast_to(masks.present(tokens.mask)[:, None], (rows, self.latents))
        start = self.param("latents", linen.initializers.normal(0.5), (self.latents, width)).astype(dtype)
        out = Tokens(jnp.broadcast_to(start, (rows, *start.shape)), here)
        for i in range(self.depth):
            seen = Tokens(
                jnp.concatenate([masks.zeroed(tokens.values, tokens.mask).astype(dtype), out.values], axis=1),
                jnp.concatenate([tokens.mask, here], axis=1),
            )
            out = CrossBlock(**plain.common(CrossBlock, self), name=f"block_{i}")(out, seen, train=train)
        values = LayerNorm(dtype=dtype, name="norm")(out.values)
        return Tokens(masks.zeroed(values, here), here)
