"""Signal to tokens, a file for each modality."""

from mmjax.encoders.audio import Audio
from mmjax.encoders.image import Image
from mmjax.encoders.sensor import Sensor
from mmjax.encoders.table import Table
from mmjax.encoders.text import Text

__all__ = ["Audio", "Image", "Sensor", "Table", "Text"]
