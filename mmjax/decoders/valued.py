"""A decoder that also says what it is worth."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen

from mmjax.core import Outputs
from mmjax.decoders.gpt import GPT
from mmjax.decoders.talker import Talker


class Valued(linen.Module):
    """A decoder with a number at every place of its text, head ``value`` ``b n``, beside the words that come next.

    So a policy has its critic (``objectives.Values``), and a text its reward (``objectives.Ranking``): the number at an
    answer's last token, which has seen all of it. It begins at 0. decoder: a ``GPT`` or a ``Talker``, which it stands
    for in all else.
    """

    decoder: GPT | Talker
    value: str = "value"

    @property
    def stream(self) -> str:
        """The modality that the decoder reads itself."""
        return self.decoder.stream

    @property
    def head(self) -> str:
        """What the decoder's answers are called."""
        return self.decoder.head

    @property
    def vocabulary(self) -> int:
        """How many words the decoder knows."""
        return self.decoder.vocabulary

    @property
    def length(self) -> int:
        """The decoder's context."""
        return self.decoder.length

    @property
    def positions(self) -> str:
        """How the decoder marks positions."""
        return self.decoder.positions

    @property
    def encoders(self) -> Mapping[str, linen.Module]:
        """Those of the decoder, if it has any."""
        return getattr(self.decoder, "encoders", {})

    def setup(self) -> None:
        self.worth = linen.Dense(1, kernel_init=linen.initializers.zeros)

    def __call__(self, inputs: Any, *, train: bool, slots: int = 0) -> Outputs:
        out = self.decoder(inputs, train=train, slots=slots)
        worth = self.worth(out.fused.values)[..., 0]
        worth = jnp.where(out.fused.mask, worth.astype(jnp.float32), 0)
        return out.replace(heads={**out.heads, self.value: worth})
