"""Signal to tokens, a file for each modality."""

from mmjax.encoders.audio import Audio
from mmjax.encoders.image import Image
from mmjax.encoders.text import Text

__all__ = ["Audio", "Image", "Text"]
