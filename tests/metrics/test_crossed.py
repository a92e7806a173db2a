"""Intervals over rows and seeds: as the theory says, and paired."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmjax import metrics
from mmjax.metrics import bootstrap


def rows_of(right):
    """Rows of two classes, answered rightly where ``right``."""
    targets = np.arange(len(right)) % 2
    said = np.where(right, targets, 1 - targets)
    scores = np.where(said[:, None] == np.arange(2), 2.0, 0.0).astype(np.float32)
    return metrics.Rows(scores, targets.astype(np.int32), np.ones(len(right), bool))


def crossed(rights, **options):
    metric = metrics.Classification("y")
    measures = [metric.measure(rows_of(right), ranked=False) for right in rights]
    return metrics.Crossed.of(measures, rows=len(rights[0]), **options)


def test_one_seed_is_the_bootstrap_of_rows():
    right = np.random.default_rng(0).random(300) < 0.7
    found = crossed([right]).figures(["accuracy"])["accuracy"]
    metric = metrics.Classification("y")
    alone = bootstrap.estimate(metric.measure(rows_of(right)), rows=300, resamples=1000, seed=0).figures["accuracy"]
    assert found == pytest.approx(alone)


def test_figure_is_the_mean_of_the_seeds():
    rights = np.random.default_rng(1).random((4, 50)) < 0.6
    found = crossed(rights)
    assert found.values["accuracy"] == pytest.approx(rights.mean())
    assert found.seeds["accuracy"] == pytest.approx(rights.mean(axis=1).tolist())
    figure = found.figures(["accuracy"])["accuracy"]
    assert figure["low"] < figure["value"] < figure["high"]


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(2)
    alike = rng.random((6, 4000)) < 0.7
    unlike = rng.random((6, 4000)) < np.linspace(0.5, 0.9, 6)[:, None]
    widths = [np.std(crossed(rights).samples["accuracy"]) for rights in (alike, unlike)]
    of_seeds = np.std(unlike.mean(axis=1), ddof=1) / np.sqrt(6) * 2.5706 / 1.96  # Student's t with 5 degrees of freedom
    assert widths[0] < 0.012 and widths[1] == pytest.approx(of_seeds, rel=0.1)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_of_few_seeds_hold_the_truth(seeds):
    """Accuracies of seeds spread by 3 points about 70 %: 95 % of the intervals should have 70 in them."""
    rng = np.random.default_rng(seeds)

    def held():
        rights = rng.random((seeds, 200)) < 0.7 + 0.03 * rng.standard_normal((seeds, 1))
        measures = [
            lambda w, right=right: SimpleNamespace(figures={"accuracy": np.dot(w, right) / 200}) for right in rights
        ]
        found = metrics.Crossed.of(measures, rows=200, resamples=300).figures(["accuracy"])["accuracy"]
        assert found["low"] >= 0 and found["high"] <= 1
        return found["low"] <= 0.7 <= found["high"]

    assert np.mean([held() for _ in range(300)]) > 0.91


def test_differences_are_paired():
    rng = np.random.default_rng(3)
    hard = rng.random(500)
    worse, better = (np.stack([hard < share] * 3) for share in (0.6, 0.63))
    first, second = crossed(worse), crossed(better)
    found = second.minus(first, ["accuracy"])["accuracy"]
    assert 0 < found["low"] < found["value"] < found["high"] < 0.06  # though the intervals themselves overlap
    assert first.figures(["accuracy"])["accuracy"]["high"] > second.figures(["accuracy"])["accuracy"]["low"]
    assert first.minus(first, ["accuracy"])["accuracy"] == {"value": 0, "low": 0, "high": 0}


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError):
        metrics.Crossed.of([], rows=3)


def test_without_ranking_the_other_figures_are_the_same():
    rows, metric = rows_of(np.random.default_rng(4).random(40) < 0.7), metrics.Classification("y")
    weights = np.ones((2, 40), np.float32)
    full, short = metric.measure(rows)(weights).figures, metric.measure(rows, ranked=False)(weights).figures
    assert full.keys() - short.keys() == {"auroc", "average_precision"}
    for name, values in short.items():
        np.testing.assert_array_equal(values, full[name])
