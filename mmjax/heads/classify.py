"""Which of several classes, one of them or many."""

from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens


class Classify(linen.Module):
    """Logits ``b classes`` in float32: masked mean, LayerNorm, linear layer."""

    classes: int
    dropout: float = 0.0

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        return nn.Readout(self.classes, dropout=self.dropout, name="readout")(tokens, train=train)


class MultiLabel(linen.Module):
    """A logit in float32 for each of ``labels``, any number of which may hold: ``b labels``."""

    labels: int
    dropout: float = 0.0

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        return nn.Readout(self.labels, dropout=self.dropout, name="readout")(tokens, train=train)
