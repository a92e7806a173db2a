"""Words that follow from words, and from whatever else is given."""

from mmjax.decoders.bridge import Latents, Mean, Projector, Queries
from mmjax.decoders.gpt import GPT
from mmjax.decoders.talker import Talker
from mmjax.decoders.tuned import Tuned
from mmjax.decoders.valued import Valued

__all__ = ["GPT", "Latents", "Mean", "Projector", "Queries", "Talker", "Tuned", "Valued"]
