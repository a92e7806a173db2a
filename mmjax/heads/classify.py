"""Which of several classes, one of them or many."""

from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens, plain


class Classify(linen.Module):
    """Logits ``b classes`` in float32; of rows that pack up to ``segments`` examples, ``b segments classes``.

    Reads what is fused, or one ``stream`` alone; ``apart``: what it reads learns nothing from it.
    """

    classes: int
    dropout: float = 0.0
    segments: int = 0
    stream: str = ""
    apart: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b *s k"]:
        readout = nn.Readout(self.classes, **plain.common(nn.Readout, self), name="readout")
        return readout(tokens, train=train)


class MultiLabel(linen.Module):
    """A logit in float32 for each of ``labels``, any number of which may hold: ``b labels``.

    Of rows that pack up to ``segments`` examples, ``b segments labels``. Reads what is fused, or one ``stream``
    alone; ``apart``: what it reads learns nothing from it.
    """

    labels: int
    dropout: float = 0.0
    segments: int = 0
    stream: str = ""
    apart: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b *s k"]:
        readout = nn.Readout(self.labels, **plain.common(nn.Readout, self), name="readout")
        return readout(tokens, train=train)
