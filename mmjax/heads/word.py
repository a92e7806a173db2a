"""Which of many words stands at each place."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Factored, Tokens, UserError, masks


class Words(linen.Module):
    """Logits of ``vocabulary`` words for every token, as their factors: features ``b n d`` and kernel ``d k``.

    A loss that knows factors never holds ``b n k`` logits (``objectives.CrossEntropy``). Reads what is fused, or one
    ``stream`` alone; ``apart``: what it reads learns nothing from it.

    BERT's (Devlin et al., 2018, https://arxiv.org/abs/1810.04805) is ``hidden=True, tied=True, bias=True`` over a
    ``stream`` of texts. hidden: a layer as wide as the tokens comes before, with GELU and a LayerNorm of ``epsilon``.
    tied: the kernel is the encoder's own table of words, of the first ``vocabulary``. bias: one a word, which stands in
    the factors as a feature that is 1. Raises UserError where there is no such table, or it is too small or of another
    width.
    """

    vocabulary: int
    stream: str = ""
    apart: bool = False
    hidden: bool = False
    tied: bool = False
    bias: bool = False
    epsilon: float = 1e-12
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool, table: Any = None) -> Factored:
        values = jax.lax.stop_gradient(tokens.values) if self.apart else tokens.values
        values = masks.zeroed(values, tokens.mask).astype(jnp.dtype(self.dtype))
        if self.hidden:
            values = nn.gelu(linen.Dense(values.shape[-1], dtype=values.dtype, name="dense")(values))
            values = nn.LayerNorm(self.epsilon, dtype=values.dtype, name="norm")(values)
        kernel = self._tied(table, values.shape[-1]) if self.tied else self._own(values.shape[-1])
        if self.bias:
            each = self.param("bias", linen.initializers.zeros, (self.vocabulary,))
            values = jnp.concatenate([values, jnp.ones_like(values[..., :1])], axis=-1)
            kernel = jnp.concatenate([kernel, each[None]])
        return Factored(masks.zeroed(values, tokens.mask), kernel)

    def _own(self, width: int) -> jax.Array:
        return self.param("kernel", linen.initializers.lecun_normal(), (width, self.vocabulary))

    def _tied(self, table: Any, width: int) -> jax.Array:
        if table is None:
            raise UserError("heads.Words(tied=True) has no table of words; name the stream of an encoders.Text")
        if len(table) < self.vocabulary or table.shape[1] != width:
            raise UserError(
                f"heads.Words(tied=True): stream {self.stream!r} has {table.shape[0]} words, {table.shape[1]} wide; "
                f"vocabulary={self.vocabulary} words, {width} wide, are wanted"
            )
        return (jax.lax.stop_gradient(table) if self.apart else table)[: self.vocabulary].T
