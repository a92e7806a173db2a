"""Every metric."""

from descriptors.answer import CLASSES, LABELS, NUMBER, NUMBERS, SPOKEN, answer
from mmjax import metrics

METRICS = [
    answer("classification", metrics.Classification("y"), *CLASSES),
    answer("multilabel", metrics.MultiLabel("y"), *LABELS),
    answer("transcription", metrics.Transcription("y"), *SPOKEN, framed=True),
    answer("regression", metrics.Regression("y"), *NUMBER),
    answer("regression_many", metrics.Regression("y"), *NUMBERS),
]
