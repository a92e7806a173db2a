"""Text from a trained model: a cache of keys and values, one compiled step for every prompt."""

from mmjax.generate.choice import Choice
from mmjax.generate.decoder import Decoder
from mmjax.generate.generator import Generator, Said

__all__ = ["Choice", "Decoder", "Generator", "Said"]
