"""What a training step sees in place of a batch, made on the devices: ``(batch, *, said, key) -> Batch``.

``said(inputs) -> Outputs`` is what the averaged weights say (``Optim.average``; without it those that are trained), as
in evaluation and without a gradient. Those that say what they are ``only`` of some modalities can be compared
(``mmjax compare``), which trains each modality alone, too. One that makes a row of other rows says so by ``crosses``,
and is none for an evaluator, which measures each row by itself.
"""

from mmjax.views.augment import Crop, Erase, Flip, Light, Noise, Shift
from mmjax.views.chain import Chain
from mmjax.views.cut import Cells, Steps, Stills, Tubes
from mmjax.views.data2vec import Data2vec
from mmjax.views.dino import Dino
from mmjax.views.fixmatch import FixMatch
from mmjax.views.hide import Hide, Patches, Squares, Words
from mmjax.views.masked import MaskedWords
from mmjax.views.mismatched import Mismatched
from mmjax.views.mixup import Mixup
from mmjax.views.several import Several

__all__ = [
    "Cells",
    "Chain",
    "Crop",
    "Data2vec",
    "Dino",
    "Erase",
    "FixMatch",
    "Flip",
    "Hide",
    "Light",
    "MaskedWords",
    "Mismatched",
    "Mixup",
    "Noise",
    "Patches",
    "Several",
    "Shift",
    "Squares",
    "Steps",
    "Stills",
    "Tubes",
    "Words",
]
