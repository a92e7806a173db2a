"""What evaluation measures: on the device each batch's rows, on the host figures with 95 % intervals."""

from mmjax.core.rows import Rows
from mmjax.metrics.agreement import Agreement
from mmjax.metrics.classification import Classification
from mmjax.metrics.crossed import Crossed
from mmjax.metrics.difference import paired
from mmjax.metrics.language import Language
from mmjax.metrics.masked import Masked
from mmjax.metrics.multilabel import MultiLabel
from mmjax.metrics.percent import percent
from mmjax.metrics.probe import FewShot, Linear, Neighbours, Probe, Prototypes
from mmjax.metrics.reconstruction import Reconstruction
from mmjax.metrics.regression import Regression
from mmjax.metrics.reply import Replies, replies
from mmjax.metrics.retrieval import Retrieval
from mmjax.metrics.rows import gather
from mmjax.metrics.sentence import sentences
from mmjax.metrics.transcription import Transcription

__all__ = [
    "Agreement",
    "Classification",
    "Crossed",
    "FewShot",
    "Language",
    "Linear",
    "Masked",
    "MultiLabel",
    "Neighbours",
    "Probe",
    "Prototypes",
    "Reconstruction",
    "Regression",
    "Replies",
    "Retrieval",
    "Rows",
    "Transcription",
    "gather",
    "paired",
    "percent",
    "replies",
    "sentences",
]
