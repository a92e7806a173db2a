"""What training does to an example, on the host: ``(inputs, rng) -> inputs``. Evaluation and prediction have none.

Each names its modality first. An absent modality stays absent.
"""

from mmjax.data.transforms.absence import Hide
from mmjax.data.transforms.image import Affine, Crop, Erase, Flip, Light
from mmjax.data.transforms.series import CropTime, Gain, Jitter, Noise, Scale, Shift, Speed
from mmjax.data.transforms.text import DropTokens, MaskWords

__all__ = [
    "Affine",
    "Crop",
    "CropTime",
    "DropTokens",
    "Erase",
    "Flip",
    "Gain",
    "Hide",
    "Jitter",
    "Light",
    "MaskWords",
    "Noise",
    "Scale",
    "Shift",
    "Speed",
]
