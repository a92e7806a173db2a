"""Multi-label figures are scikit-learn's; each label has a mask of its own."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk

from mmjax import metrics

N, K = 120, 4


def rows_of(scores, targets, mask=None):
    mask = np.ones(np.shape(targets), bool) if mask is None else mask
    return metrics.Rows(np.asarray(scores, np.float32), np.asarray(targets, np.float32), mask)


def compute(scores, targets, mask=None, **options):
    return metrics.MultiLabel("y").compute(rows_of(scores, targets, mask), **{"resamples": 0, **options})


def case(name):
    rng = np.random.default_rng(3)
    y = (rng.random((N, K)) < [0.5, 0.3, 0.05, 0.9]).astype(int)
    scores = rng.normal(size=(N, K)) + y
    if name == "absent":
        y[:, 1] = 0
        scores[:, 2] = -3
    if name == "tied":
        scores = np.round(scores) + 0.25
    return np.float64(np.float32(scores)), y


@pytest.mark.parametrize("name", ["random", "absent", "tied"])
def test_figures_are_scikit_learns(name):
    scores, y = case(name)
    figures, said = compute(scores, y), (scores > 0).astype(int)
    p = 1 / (1 + np.exp(-scores))
    defined = [i for i in range(K) if 0 < y[:, i].sum() < N]
    expected = {
        "subset_accuracy": sk.accuracy_score(y, said),
        "auroc": sk.roc_auc_score(y[:, defined], p[:, defined]),
        "log_loss": np.mean([sk.log_loss(y[:, i], p[:, i], labels=[0, 1]) for i in range(K)]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of labels that are never true
        expected["average_precision"] = sk.average_precision_score(y, p)
        each = sk.average_precision_score(y, p, average=None)
    for average in ("macro", "micro", "weighted"):
        found = sk.precision_recall_fscore_support(y, said, average=average, zero_division=0)
        expected |= {f"{what}_{average}": found[i] for i, what in enumerate(("precision", "recall", "f1"))}
    for metric, value in expected.items():
        assert figures[metric]["value"] == pytest.approx(value, abs=1e-6), metric
    assert figures.keys() == expected.keys() | {"per_class", "count"}
    precision, recall, f1, support = sk.precision_recall_fscore_support(y, said, zero_division=0)
    for i in range(K):
        found = figures["per_class"][str(i)]
        values = [found[metric]["value"] for metric in ("precision", "recall", "f1", "average_precision")]
        np.testing.assert_allclose(values, [precision[i], recall[i], f1[i], each[i]], atol=1e-6)
        assert (found["support"], found["known"]) == (support[i], N)
        if i in defined:
            assert found["auroc"]["value"] == pytest.approx(sk.roc_auc_score(y[:, i], p[:, i]), abs=1e-6)
        else:
            assert found["auroc"]["value"] is None and "same answer" in found["auroc"]["reason"]


def test_each_label_is_measured_over_its_known_cells():
    scores, y = case("random")
    mask = np.random.default_rng(5).random((N, K)) < 0.6
    mask[:10] = False
    figures = compute(np.where(mask, scores, 0), np.where(mask, y, 0), mask)
    assert figures["count"] == mask.any(axis=1).sum() < N
    for i in range(K):
        known, found = mask[:, i], figures["per_class"][str(i)]
        said = scores[known, i] > 0
        assert found["f1"]["value"] == pytest.approx(sk.f1_score(y[known, i], said), abs=1e-6)
        assert found["auroc"]["value"] == pytest.approx(sk.roc_auc_score(y[known, i], scores[known, i]), abs=1e-6)
        expected = sk.average_precision_score(y[known, i], scores[known, i])
        assert found["average_precision"]["value"] == pytest.approx(expected, abs=1e-6)
        assert found["known"] == known.sum()
    whole = [((scores > 0) == y)[i][mask[i]].all() for i in range(N) if mask[i].any()]
    assert figures["subset_accuracy"]["value"] == pytest.approx(np.mean(whole))
    micro = sk.f1_score(y[mask], scores[mask] > 0)
    assert figures["f1_micro"]["value"] == pytest.approx(micro, abs=1e-6)


def test_label_without_a_known_cell_is_undefined_and_left_out():
    scores, y = case("random")
    mask = np.ones((N, K), bool)
    mask[:, 2] = False
    figures = compute(scores, y, mask, names=list("abcd"), resamples=20)
    rest = [0, 1, 3]
    alone = compute(scores[:, rest], y[:, rest])
    for metric in ("f1_macro", "f1_weighted", "auroc", "average_precision", "subset_accuracy", "log_loss"):
        assert figures[metric]["value"] == pytest.approx(alone[metric]["value"]), metric
    assert figures["per_class"]["c"]["auroc"]["value"] is None
    assert figures["auroc"]["note"].endswith(": c")
    json.dumps(figures, allow_nan=False)


def test_no_rows_at_all_is_no_crash():
    figures = compute(np.zeros((5, K)), np.zeros((5, K)), np.zeros((5, K), bool), resamples=20)
    assert figures["count"] == 0 and figures["subset_accuracy"]["value"] is None
    json.dumps(figures, allow_nan=False)


def test_hardest_rows_name_their_labels():
    scores, targets = np.array([[3.0, -3.0], [3.0, 3.0], [-9.0, 9.0]]), np.array([[1, 0], [0, 1], [1, 0]])
    mask = np.array([[True, True], [True, True], [False, False]])
    found = metrics.MultiLabel("y").hardest(rows_of(scores, targets, mask), names=["red", "big"], count=1)
    sure = 1 / (1 + np.exp(-3))
    assert found == [
        {
            "index": 1,
            "target": ["big"],
            "prediction": ["red", "big"],
            "probability": pytest.approx(sure**2),
            "loss": pytest.approx(-(np.log(1 - sure) + np.log(sure)) / 2),
        }
    ]
