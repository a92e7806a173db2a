"""Every metric."""

from descriptors.answer import CLASSES, LABELS, NUMBER, NUMBERS, answer
from mmjax import metrics

METRICS = [
    answer("classification", metrics.Classification("y"), *CLASSES),
    answer("multilabel", metrics.MultiLabel("y"), *LABELS),
    answer("regression", metrics.Regression("y"), *NUMBER),
    answer("regression_many", metrics.Regression("y"), *NUMBERS),
]
