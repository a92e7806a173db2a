"""Two runs on the same rows."""

import numpy as np
import pytest

from mmjax import metrics


def runs(gain, n=150):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, n).astype(np.int32)
    weak = rng.normal(size=(n, 3)) + np.eye(3)[targets]
    strong = weak + gain * np.eye(3)[targets]
    return [metrics.Rows(np.float32(scores), targets, np.ones(n, bool)) for scores in (weak, strong)]


def test_difference_is_of_the_figures_and_narrower_than_they_are():
    metric, (weak, strong) = metrics.Classification("y"), runs(0.5)
    found = metrics.paired(metric, weak, strong, resamples=500)
    before, after = metric.compute(weak), metric.compute(strong)
    for name in ("accuracy", "f1_macro", "auroc", "log_loss"):
        assert found[name]["value"] == pytest.approx(after[name]["value"] - before[name]["value"])
    assert 0 < found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    width = found["accuracy"]["high"] - found["accuracy"]["low"]
    assert width < before["accuracy"]["high"] - before["accuracy"]["low"]


def test_equal_runs_differ_by_nothing():
    weak, same = runs(0.0)
    assert metrics.paired(metrics.Classification("y"), weak, same)["f1_macro"] == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
    }


def test_runs_on_other_rows_are_refused():
    weak, strong = runs(0.5)
    other = strong.replace(targets=(strong.targets + 1) % 3)
    with pytest.raises(ValueError, match="same rows"):
        metrics.paired(metrics.Classification("y"), weak, other)


def test_numbers_differ_in_the_targets_own_unit():
    y = np.arange(20, dtype=np.float32)
    first, second = (metrics.Rows(y + error, y, np.ones(20, bool)) for error in (2, 1))
    found = metrics.paired(metrics.Regression("y"), first, second, scale=(0.0, 3.0))
    assert found["mean_absolute_error"]["value"] == pytest.approx(-3)
