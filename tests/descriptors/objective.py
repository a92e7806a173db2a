"""Every objective."""

import numpy as np

from descriptors.answer import ANSWERED, CLASSES, LABELS, NUMBER, NUMBERS, SPOKEN, answer
from descriptors.row import integers, noise
from mmjax import objectives

PATCHES = np.broadcast_to((integers(10, 6, 2) < 7)[..., None], (6, 2, 3))

OBJECTIVES = [
    answer("cross_entropy", objectives.CrossEntropy("y"), *CLASSES),
    answer(
        "cross_entropy_weighted", objectives.CrossEntropy("y", smoothing=0.1, class_weights=(1.0, 2.0, 0.5)), *CLASSES
    ),
    answer(
        "dino", objectives.Dino("y"), CLASSES[0], np.full((6, 3), 0.25, np.float32), np.repeat(ANSWERED[:, None], 3, 1)
    ),
    answer(
        "matching",
        objectives.Matching("y"),
        np.random.default_rng(7).normal(size=(6, 2)).astype(np.float32),
        np.arange(6, dtype=np.int32) % 2,
        CLASSES[2],
    ),
    answer("pseudo_label", objectives.PseudoLabel("y"), *CLASSES),
    answer("experts", objectives.Experts("y"), noise(6, 2, 3), *CLASSES[1:], fused=True),
    answer("ctc", objectives.CTC("y"), *SPOKEN, framed=True),
    answer("binary_cross_entropy", objectives.BinaryCrossEntropy("y"), *LABELS),
    answer("squared_error", objectives.SquaredError("y"), *NUMBER),
    answer("squared_error_many", objectives.SquaredError("y"), *NUMBERS),
    answer("data2vec", objectives.Data2vec("y"), noise(6, 2, 3), noise(6, 2, 3, seed=1), PATCHES),
    answer("reconstruction", objectives.Reconstruction("y"), noise(6, 2, 3), noise(6, 2, 3, seed=1), PATCHES),
    answer("absolute_error", objectives.AbsoluteError("y"), *NUMBER),
]
