"""Tokens to answers."""

from mmjax.heads.classify import Classify, MultiLabel
from mmjax.heads.extract import Choose, Extract
from mmjax.heads.project import Project
from mmjax.heads.prototypes import Prototypes
from mmjax.heads.reconstruct import Reconstruct
from mmjax.heads.regress import Regress
from mmjax.heads.temperature import Temperature
from mmjax.heads.transcribe import Transcribe
from mmjax.heads.vote import Vote
from mmjax.heads.word import Words

__all__ = [
    "Choose",
    "Classify",
    "Extract",
    "MultiLabel",
    "Project",
    "Prototypes",
    "Reconstruct",
    "Regress",
    "Temperature",
    "Transcribe",
    "Vote",
    "Words",
]
