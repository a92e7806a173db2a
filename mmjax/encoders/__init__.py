"""Signal to tokens, a file for each modality or family."""

from mmjax.encoders.audio import Audio
from mmjax.encoders.chain import Chain
from mmjax.encoders.convnext import ConvNeXt
from mmjax.encoders.frames import Frames
from mmjax.encoders.image import Image
from mmjax.encoders.lenet import LeNet
from mmjax.encoders.r2plus1d import R2Plus1D
from mmjax.encoders.resnet import ResNet
from mmjax.encoders.sensor import Sensor
from mmjax.encoders.series import Series
from mmjax.encoders.spectrogram import Spectrogram
from mmjax.encoders.spectrum import Spectrum
from mmjax.encoders.table import Table
from mmjax.encoders.text import Text
from mmjax.encoders.video import Video
from mmjax.encoders.waveform import Waveform

__all__ = [
    "Audio",
    "Chain",
    "ConvNeXt",
    "Frames",
    "Image",
    "LeNet",
    "R2Plus1D",
    "ResNet",
    "Sensor",
    "Series",
    "Spectrogram",
    "Spectrum",
    "Table",
    "Text",
    "Video",
    "Waveform",
]
