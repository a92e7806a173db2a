"""Intervals are those of resampling rows by hand, and come again with the same seed."""

import time
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk

from mmjax import metrics
from mmjax.metrics import bootstrap


def rows_of(n, k, seed=0, skill=1.0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, k, n).astype(np.int32)
    scores = (rng.normal(size=(n, k)) + skill * np.eye(k)[targets]).astype(np.float32)
    return metrics.Rows(scores, targets, np.ones(n, bool))


def by_hand(rows, resamples):
    """The figures of every resample by scikit-learn, slowly."""
    rng, n = np.random.default_rng(99), len(rows.targets)
    powers = np.exp(rows.scores.astype(np.float64))
    p, said = powers / powers.sum(axis=1, keepdims=True), rows.scores.argmax(axis=1)
    for _ in range(resamples):
        d = rng.integers(0, n, n)
        y = rows.targets[d]
        yield {
            "accuracy": sk.accuracy_score(y, said[d]),
            "balanced_accuracy": sk.balanced_accuracy_score(y, said[d]),
            "f1_macro": sk.f1_score(y, said[d], average="macro", zero_division=0),
            "precision_weighted": sk.precision_score(y, said[d], average="weighted", zero_division=0),
            "auroc": sk.roc_auc_score(y, p[d], multi_class="ovr"),
            "average_precision": sk.average_precision_score(y, p[d]),
            "log_loss": sk.log_loss(y, p[d]),
        }


def test_intervals_are_those_of_resampling_by_hand():
    rows = rows_of(80, 3)
    figures = metrics.Classification("y").compute(rows, resamples=3000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(by_hand(rows, 250))
    for name in samples[0]:
        theirs = np.percentile([s[name] for s in samples], [2.5, 97.5])
        ours = [figures[name]["low"], figures[name]["high"]]
        np.testing.assert_allclose(ours, theirs, atol=0.3 * np.diff(theirs)[0], err_msg=name)


def test_every_resample_is_what_the_resampled_rows_themselves_give():
    """Weighting rows and copying them are the same, for every figure of every class."""
    rows = rows_of(40, 4, seed=3)
    scores = np.round(rows.scores)  # with ties
    metric = metrics.Classification("y")
    rows = metrics.Rows(scores, rows.targets, rows.mask)
    (weights,) = bootstrap.resampled(40, 5, seed=1)
    weighted = metric.measure(rows)(weights)
    for r, counts in enumerate(weights.astype(int)):
        copies = np.repeat(np.arange(40), counts)
        copied = metric.measure(metrics.Rows(scores[copies], rows.targets[copies], rows.mask[copies]))
        alone = copied(np.ones((1, 40), np.float32))
        for name, values in weighted.figures.items():
            if name != "majority":  # which answer that is, is settled by all rows
                np.testing.assert_allclose(values[r], alone.figures[name][0], atol=1e-9, err_msg=name)
        for name, values in weighted.each.items():
            np.testing.assert_allclose(values[r], alone.each[name][0], atol=1e-9, err_msg=name)


def test_resamples_draw_as_many_rows_as_there_are():
    weights = np.concatenate(list(bootstrap.resampled(30, 2000, seed=0)))
    assert weights.shape == (2000, 30)
    assert (weights.sum(axis=1) == 30).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)
    np.testing.assert_allclose(weights.var(axis=0), 29 / 30, atol=0.2)


def test_what_belongs_together_is_drawn_together():
    """Each row three times tells no more than once, if it is known that they are the same."""
    hits = np.random.default_rng(0).integers(0, 2, 40).astype(float)

    def measure(hits):
        return lambda weights: bootstrap.Measured({"hits": weights @ hits / weights.sum(axis=1)})

    own = {"resamples": 500, "seed": 3}
    once = bootstrap.estimate(measure(hits), rows=40, **own).figures["hits"]
    together = bootstrap.clusters([f"picture {i}" for i in range(40) for _ in range(3)])
    thrice = bootstrap.estimate(measure(np.repeat(hits, 3)), rows=120, together=together, **own).figures["hits"]
    assert thrice == pytest.approx(once)
    apart = bootstrap.estimate(measure(np.repeat(hits, 3)), rows=120, **own).figures["hits"]
    assert apart["high"] - apart["low"] < 0.8 * (once["high"] - once["low"])
    drawn = np.concatenate(list(bootstrap.resampled(5, 300, 0, np.array([0, 1, 0, 2, 1]))))
    assert (drawn[:, [0, 1]] == drawn[:, [2, 4]]).all() and (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert bootstrap.clusters([]) is None


def test_seed_alone_decides_the_interval():
    rows, metric = rows_of(60, 3), metrics.Classification("y")
    first = metric.compute(rows, resamples=100, seed=5)
    assert first == metric.compute(rows, resamples=100, seed=5)
    other = metric.compute(rows, resamples=100, seed=6)
    assert first["log_loss"]["value"] == other["log_loss"]["value"]
    assert first["log_loss"]["low"] != other["log_loss"]["low"]


def test_interval_holds_its_figure():
    figures = metrics.Classification("y").compute(rows_of(30, 3), resamples=200)
    for name, figure in figures.items():
        if name not in ("per_class", "confusion", "count"):
            assert figure["low"] <= figure["value"] <= figure["high"], name


def test_no_resamples_give_the_figure_alone():
    assert metrics.Classification("y").compute(rows_of(30, 3), resamples=0)["accuracy"].keys() == {"value"}


def test_two_thousand_rows_of_ten_classes_take_less_than_two_seconds():
    began = time.perf_counter()
    metrics.Classification("y").compute(rows_of(2000, 10), resamples=1000)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("rows", [1, 2])
def test_tiny_evaluations_work(rows):
    figures = metrics.Classification("y").compute(rows_of(rows, 3), resamples=50)
    assert figures["count"] == rows and figures["accuracy"]["value"] is not None
