"""How much: numbers out of tokens."""

from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens


class Regress(linen.Module):
    """Numbers in float32: ``b`` for one output, ``b outputs`` for more. Masked mean, LayerNorm, linear layer."""

    outputs: int = 1
    dropout: float = 0.0

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, " b"] | Float[Array, "b k"]:
        values = nn.Readout(self.outputs, dropout=self.dropout, name="readout")(tokens, train=train)
        return values[:, 0] if self.outputs == 1 else values
