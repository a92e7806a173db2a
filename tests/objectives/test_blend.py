"""Gradient blending: weights from what was gained and what was overfitted."""

import pytest

from mmjax import objectives
from mmjax.core import UserError
from mmjax.objectives import Progress

GIVEN = {"label": objectives.CrossEntropy("label"), "image": objectives.CrossEntropy("label", head="image")}


def test_weights_are_gain_over_squared_overfitting():
    progress = {
        "label": Progress(train=(2.0, 0.2), val=(2.0, 1.0)),  # gained 1.0, overfitted by 0.8
        "image": Progress(train=(2.0, 1.4), val=(2.1, 1.7)),  # gained 0.4, overfitted by 0.2
    }
    found = objectives.blended(GIVEN, progress)
    ratios = {"label": 1.0 / 0.8**2, "image": 0.4 / 0.2**2}
    for name, objective in found.items():
        assert objective.weight == pytest.approx(ratios[name] / sum(ratios.values()))
    assert found["image"].head == "image"


def test_what_only_got_worse_counts_nothing():
    progress = {"label": Progress((2.0, 0.1), (2.0, 2.5)), "image": Progress((2.0, 1.9), (2.0, 1.9))}
    found = objectives.blended(GIVEN, progress)
    assert (found["label"].weight, found["image"].weight) == (0.0, 1.0)


def test_mistakes_are_told():
    with pytest.raises(UserError, match="progress of objective 'image' is wanted; there is that of label"):
        objectives.blended(GIVEN, {"label": Progress((2.0, 1.0), (2.0, 1.0))})
    with pytest.raises(UserError, match="no loss fell"):
        objectives.blended(GIVEN, dict.fromkeys(GIVEN, Progress((2.0, 0.1), (2.0, 2.5))))
