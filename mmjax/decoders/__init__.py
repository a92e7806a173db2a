"""Words that follow from words."""

from mmjax.decoders.gpt import GPT

__all__ = ["GPT"]
