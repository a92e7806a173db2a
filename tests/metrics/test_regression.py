"""Regression figures are scikit-learn's, in the target's own unit."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk

from mmjax import metrics


def rows_of(scores, targets, mask=None):
    mask = np.ones(np.shape(targets), bool) if mask is None else mask
    return metrics.Rows(np.asarray(scores, np.float32), np.asarray(targets, np.float32), mask)


def compute(scores, targets, mask=None, **options):
    return metrics.Regression("y").compute(rows_of(scores, targets, mask), **{"resamples": 0, **options})


def values_of(figures):
    return {name: figure["value"] for name, figure in figures.items() if isinstance(figure, dict) and "value" in figure}


def reference(scores, y):
    return {
        "mean_squared_error": sk.mean_squared_error(y, scores),
        "root_mean_squared_error": sk.root_mean_squared_error(y, scores),
        "mean_absolute_error": sk.mean_absolute_error(y, scores),
        "r2": sk.r2_score(y, scores),
    }


@pytest.mark.parametrize("columns", [(), (3,)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_figures_are_scikit_learns(columns, offset):
    rng = np.random.default_rng(0)
    y = np.float64(np.float32(rng.normal(size=(90, *columns)) + offset))
    scores = np.float64(np.float32(y + 0.5 * rng.normal(size=y.shape)))
    assert values_of(compute(scores, y)) == pytest.approx(reference(scores, y), abs=1e-6)


def test_scale_gives_the_targets_own_unit():
    rng = np.random.default_rng(1)
    y, scores = (np.float64(np.float32(rng.normal(size=50))) for _ in range(2))
    found = values_of(compute(scores, y, scale=(170.0, 9.0)))
    assert found == pytest.approx(reference(scores * 9 + 170, y * 9 + 170), abs=1e-6)


def test_each_output_is_measured_over_its_known_cells():
    rng = np.random.default_rng(2)
    y, scores = (np.float64(np.float32(rng.normal(size=(60, 2)))) for _ in range(2))
    mask = rng.random((60, 2)) < 0.5
    figures = compute(scores, y, mask, names=["width", "height"])
    parts = [reference(scores[mask[:, i], i], y[mask[:, i], i]) for i in range(2)]
    assert values_of(figures["per_output"]["width"]) == pytest.approx(parts[0], abs=1e-6)
    assert values_of(figures["per_output"]["height"]) == pytest.approx(parts[1], abs=1e-6)
    averages = {name: (parts[0][name] + parts[1][name]) / 2 for name in parts[0]}
    assert values_of(figures) == pytest.approx(averages, abs=1e-6)
    assert figures["count"] == mask.any(axis=1).sum()


@pytest.mark.parametrize("guess", [3.0, 4.0])
def test_target_without_variation_follows_scikit_learn(guess):
    y, scores = np.full(12, np.float32(3.0)), np.full(12, np.float32(guess))
    assert compute(scores, y, resamples=30)["r2"]["value"] == sk.r2_score(y, scores)


def test_one_row_has_no_r2_and_says_why():
    figures = compute([1.0], [2.0], resamples=10)
    assert figures["r2"] == {"value": None, "low": None, "high": None, "reason": "it takes two rows"}
    assert figures["mean_absolute_error"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    json.dumps(figures, allow_nan=False)


def test_no_rows_at_all_is_no_crash():
    figures = compute(np.zeros(3), np.zeros(3), np.zeros(3, bool), resamples=10)
    assert figures["count"] == 0 and figures["mean_squared_error"]["value"] is None
    json.dumps(figures, allow_nan=False)


def test_interval_is_that_of_resampling_by_hand():
    rng = np.random.default_rng(4)
    y = np.float64(np.float32(rng.normal(size=40)))
    scores = np.float64(np.float32(y + rng.normal(size=40)))
    figures = compute(scores, y, resamples=4000)
    draws = rng.integers(0, 40, (800, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = [reference(scores[d], y[d]) for d in draws]
    for name in ("root_mean_squared_error", "r2"):
        ours = [figures[name]["low"], figures[name]["high"]]
        theirs = np.percentile([s[name] for s in samples], [2.5, 97.5])
        np.testing.assert_allclose(ours, theirs, atol=0.25 * np.diff(theirs)[0])


def test_hardest_rows_are_in_the_targets_own_unit():
    mask = np.array([True, True, False])
    found = metrics.Regression("y").hardest(rows_of([1.0, 0.0, 9.0], [1.0, 2.0, 0.0], mask), scale=(10.0, 2.0), count=5)
    assert found[0] == {"index": 1, "target": 14.0, "prediction": 10.0, "probability": None, "loss": 16.0}
    assert [f["index"] for f in found] == [1, 0]
