"""A decoder that also says what it is worth."""

from typing import Any

import jax.numpy as jnp
from flax import linen

from mmjax.core import Outputs
from mmjax.decoders.around import Instead
from mmjax.decoders.gpt import GPT
from mmjax.decoders.talker import Talker


class Valued(Instead, linen.Module):
    """A decoder with a number at every place of its text, head ``value`` ``b n``, beside the words that come next.

    So a policy has its critic (``objectives.Values``), and a text its reward (``objectives.Ranking``): the number at an
    answer's last token, which has seen all of it. It begins at 0. decoder: a ``GPT`` or a ``Talker``, which it stands
    for in all else.
    """

    decoder: GPT | Talker
    value: str = "value"

    def setup(self) -> None:
        self.worth = linen.Dense(1, kernel_init=linen.initializers.zeros)

    def __call__(self, inputs: Any, *, train: bool, slots: int = 0) -> Outputs:
        out = self.decoder(inputs, train=train, slots=slots)
        worth = self.worth(out.fused.values)[..., 0]
        worth = jnp.where(out.fused.mask, worth.astype(jnp.float32), 0)
        return out.replace(heads={**out.heads, self.value: worth})
