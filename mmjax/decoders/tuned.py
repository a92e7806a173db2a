"""A decoder that learned what follows, put to other work."""

from collections.abc import Mapping
from typing import Any

from flax import linen

from mmjax.core import Outputs, UserError
from mmjax.decoders.around import Instead
from mmjax.decoders.gpt import GPT
from mmjax.decoders.talker import Talker


class Tuned(Instead, linen.Module):
    """A decoder with ``heads`` that read what it makes of a text, beside the words that come next: GPT-1's fine-tuning.

    Radford et al., 2018, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    Texts are ``fields.Readings``, heads ``heads.Extract`` or ``heads.Choose``. The loss is that of a head and half that
    of the words, which are still foretold: ``objectives={"label": CrossEntropy("label"), "next": CrossEntropy("next",
    weight=0.5)}``, where target ``next`` is ``fields.Follows``. ``Experiment(init_from=...)`` begins with what the
    decoder learned alone.

    decoder: a ``GPT`` or a ``Talker``. Raises UserError for a head that is called as the decoder's own.
    """

    decoder: GPT | Talker
    heads: Mapping[str, linen.Module]

    def __call__(self, inputs: Any, *, train: bool, slots: int = 0) -> Outputs:
        if self.decoder.head in self.heads:
            raise UserError(f"head {self.decoder.head!r} is the decoder's own; call the other one something else")
        out = self.decoder(inputs, train=train, slots=slots)
        read = {name: self.heads[name](out.fused, train=train) for name in self.heads}
        return out.replace(heads={**out.heads, **read})
