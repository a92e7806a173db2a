"""How much: numbers out of tokens."""

from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens, plain


class Regress(linen.Module):
    """Numbers in float32: ``b`` for one output, ``b outputs`` for more.

    Of rows that pack up to ``segments`` examples, ``b segments`` or ``b segments outputs``. Reads what is fused, or
    one ``stream`` alone; ``apart``: what it reads learns nothing from it.
    """

    outputs: int = 1
    dropout: float = 0.0
    segments: int = 0
    stream: str = ""
    apart: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b *k"]:
        readout = nn.Readout(**plain.common(nn.Readout, self), name="readout")
        values = readout(tokens, train=train)
        return values[..., 0] if self.outputs == 1 else values
