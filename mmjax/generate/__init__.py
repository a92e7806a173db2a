"""Text from a trained model: a cache of keys and values, one compiled step for every prompt."""

from mmjax.generate import reward
from mmjax.generate.choice import Choice
from mmjax.generate.decoder import Decoder
from mmjax.generate.generator import Generator, Said
from mmjax.generate.judged import Judged
from mmjax.generate.learned import Learned
from mmjax.generate.pairs import Pairs
from mmjax.generate.rewarded import Rewarded
from mmjax.generate.rollout import Rollout

__all__ = ["Choice", "Decoder", "Generator", "Judged", "Learned", "Pairs", "Rewarded", "Rollout", "Said", "reward"]
