"""One table of every encoder, fusion, head, decoder, objective and metric, at sizes that compile in a second.

tests/test_contracts.py and tests/test_answers.py run each row through everything that its joint promises. A new
part is one new row in the file of its kind.
"""

from descriptors.chain import CHAINS
from descriptors.convolution import CONVOLUTIONS
from descriptors.decoder import DECODERS
from descriptors.encoder import FAMILIES
from descriptors.fusion import FUSIONS
from descriptors.head import HEADS
from descriptors.metric import METRICS
from descriptors.objective import OBJECTIVES
from descriptors.transformer import TRANSFORMERS

ENCODERS = FAMILIES + CONVOLUTIONS + CHAINS + TRANSFORMERS
MODULES = ENCODERS + FUSIONS + HEADS + DECODERS

__all__ = ["DECODERS", "ENCODERS", "FUSIONS", "HEADS", "METRICS", "MODULES", "OBJECTIVES"]
