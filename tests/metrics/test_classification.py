"""Classification figures are scikit-learn's, on easy and on awkward rows."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk

from mmjax import metrics
from mmjax.core import UserError


def rows_of(scores, targets, mask=None):
    mask = np.ones(len(targets), bool) if mask is None else mask
    return metrics.Rows(np.asarray(scores, np.float32), np.asarray(targets, np.int32), mask)


def compute(scores, targets, **options):
    return metrics.Classification("y").compute(rows_of(scores, targets), **{"resamples": 0, **options})


def probabilities_of(scores):
    powers = np.exp(np.float64(np.float32(scores)))
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_error(scores, targets):
    """Guo et al., 2017, equation 3, row by row."""
    probabilities = probabilities_of(scores)
    bins = [[] for _ in range(15)]
    for p, y in zip(probabilities, targets, strict=True):
        inside = [m for m in range(15) if m / 15 < p.max() <= (m + 1) / 15]
        bins[inside[0]].append((float(np.argmax(p) == y), p.max()))
    parts = [len(b) * abs(np.mean([r for r, _ in b]) - np.mean([c for _, c in b])) for b in bins if b]
    return sum(parts) / len(targets)


def reference(scores, targets, k):
    p, said = probabilities_of(scores), np.argmax(scores, axis=1)
    expected = {
        "accuracy": sk.accuracy_score(targets, said),
        "balanced_accuracy": sk.balanced_accuracy_score(targets, said),
        "log_loss": sk.log_loss(targets, p, labels=range(k)),
        "calibration_error": calibration_error(scores, targets),
        "majority": np.bincount(targets).max() / len(targets),
    }
    for average in ("macro", "micro", "weighted"):
        found = sk.precision_recall_fscore_support(targets, said, average=average, zero_division=0)
        expected |= {f"{name}_{average}": found[i] for i, name in enumerate(("precision", "recall", "f1"))}
    present = np.unique(targets)
    areas = [sk.roc_auc_score(targets == c, p[:, c]) for c in present if len(present) > 1]
    precisions = [sk.average_precision_score(targets == c, p[:, c]) for c in present]
    if k == 2 and len(present) == 2:
        expected["auroc"] = sk.roc_auc_score(targets, p[:, 1])
        expected["average_precision"] = sk.average_precision_score(targets, p[:, 1])
    elif k > 2:
        expected["auroc"], expected["average_precision"] = np.mean(areas), np.mean(precisions)
    if k > 2 and len(present) == k:  # then scikit-learn has a word for the average itself
        assert expected["auroc"] == pytest.approx(sk.roc_auc_score(targets, p, multi_class="ovr"))
        assert expected["average_precision"] == pytest.approx(sk.average_precision_score(targets, p))
    return expected


def case(name):
    rng = np.random.default_rng(7)
    if name == "random":
        return rng.normal(size=(200, 5)), rng.integers(0, 5, 200), 5
    if name == "binary":
        y = rng.integers(0, 2, 150)
        return rng.normal(size=(150, 2)) + 0.8 * np.eye(2)[y], y, 2
    if name == "skewed":
        y = rng.choice(6, 300, p=[0.9, 0.05, 0.02, 0.01, 0.01, 0.01])
        return rng.normal(size=(300, 6)) + 2 * np.eye(6)[0], y, 6
    if name == "absent":  # class 1 is never true, class 3 neither true nor said
        scores = rng.normal(size=(80, 5))
        scores[:, 3] = -20
        return scores, rng.choice([0, 2, 4], 80), 5
    if name == "tied":  # few distinct rows, so that whole groups share a score
        y = rng.integers(0, 3, 240)
        return np.array([[0, 1, 2], [1, 1, 0], [2, 0, 1]], float)[rng.integers(0, 3, 240)], y, 3
    if name == "certain":  # probabilities at 0 and 1 to the last bit
        y = rng.integers(0, 4, 90)
        return 1000 * np.eye(4)[np.where(rng.random(90) < 0.9, y, (y + 1) % 4)], y, 4
    raise ValueError(name)


@pytest.mark.parametrize("name", ["random", "binary", "skewed", "absent", "tied", "certain"])
def test_figures_are_scikit_learns(name):
    scores, targets, k = case(name)
    if name == "certain":
        scores = np.clip(scores, 0, 700)  # the reference's own exponential must not overflow
    figures = compute(scores, targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are said but never true
        expected = reference(scores, targets, k)
    for metric, value in expected.items():
        assert figures[metric]["value"] == pytest.approx(value, abs=1e-6), metric
    assert figures.keys() == expected.keys() | {"per_class", "confusion", "count"}


@pytest.mark.parametrize("name", ["random", "binary", "skewed", "absent", "tied"])
def test_figures_of_each_class_are_scikit_learns(name):
    scores, targets, k = case(name)
    names = [f"class {c}" for c in range(k)]
    figures = compute(scores, targets, names=names)
    said, p = np.argmax(scores, axis=1), probabilities_of(scores)
    precision, recall, f1, support = sk.precision_recall_fscore_support(targets, said, labels=range(k), zero_division=0)
    for c, name_of in enumerate(names):
        found = figures["per_class"][name_of]
        values = [found[metric]["value"] for metric in ("precision", "recall", "f1")]
        np.testing.assert_allclose(values, [precision[c], recall[c], f1[c]], atol=1e-6)
        assert found["support"] == support[c]
        if support[c]:
            assert found["auroc"]["value"] == pytest.approx(sk.roc_auc_score(targets == c, p[:, c]), abs=1e-6)
            expected = sk.average_precision_score(targets == c, p[:, c])
            assert found["average_precision"]["value"] == pytest.approx(expected, abs=1e-6)
        else:
            assert found["auroc"]["value"] is None and "no row" in found["auroc"]["reason"]
    matrix = sk.confusion_matrix(targets, said, labels=range(k))
    assert figures["confusion"] == {"labels": names, "matrix": matrix.tolist()}


def test_single_class_has_no_area_and_says_why():
    figures = compute(np.random.default_rng(0).normal(size=(9, 2)), np.zeros(9, int), resamples=50)
    assert figures["auroc"] == {"value": None, "low": None, "high": None, "reason": "all rows have the same answer"}
    assert figures["accuracy"]["low"] <= figures["accuracy"]["value"] <= figures["accuracy"]["high"]
    json.dumps(figures, allow_nan=False)


def test_absent_class_is_named():
    scores, targets, _ = case("absent")
    assert compute(scores, targets, names=list("abcde"))["auroc"]["note"].endswith("b, d")


def test_no_rows_at_all_is_no_crash():
    figures = compute(np.zeros((0, 3)), np.zeros(0, int), resamples=20)
    assert figures["count"] == 0
    assert figures["accuracy"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "there are no rows with an answer",
    }
    assert all(figures[name]["value"] is None for name in ("f1_macro", "f1_weighted", "auroc", "log_loss", "majority"))
    json.dumps(figures, allow_nan=False)


def test_masked_rows_count_nowhere():
    scores, targets, _ = case("random")
    mask = np.random.default_rng(1).random(len(targets)) < 0.6
    dirty, unlabelled = scores.copy(), targets.copy()
    dirty[~mask], unlabelled[~mask] = np.nan, -1
    found = metrics.Classification("y").compute(rows_of(dirty, unlabelled, mask), resamples=20)
    assert found == compute(scores[mask], targets[mask], resamples=20)


def test_majority_names_its_answer():
    majority = compute(np.zeros((4, 3)), [2, 2, 1, 2], names=["a", "b", "c"])["majority"]
    assert majority == {"value": 0.75, "answer": "c"}


def test_hardest_rows_come_first_with_their_place():
    scores = np.array([[5, 0], [0, 5], [0, 1], [9, 0]], float)
    found = metrics.Classification("y").hardest(
        rows_of(scores, [0, 0, 0, -1], np.array([True, True, True, False])), names=["cat", "dog"], count=2
    )
    assert [(f["index"], f["target"], f["prediction"]) for f in found] == [(1, "cat", "dog"), (2, "cat", "dog")]
    assert found[0]["probability"] == pytest.approx(1 / (1 + np.exp(-5)))
    assert found[0]["loss"] == pytest.approx(np.log1p(np.exp(5)))


def test_numbers_that_are_none_never_pass_for_figures():
    scores = np.zeros((5, 2))
    scores[3, 1] = np.nan
    with pytest.raises(UserError, match="head 'y' gives NaN or infinity in 1 of 5 rows, first in row 3"):
        compute(scores, np.zeros(5, int))


def test_names_and_classes_must_fit_the_head():
    with pytest.raises(ValueError, match="2 names for a head of 3"):
        compute(np.zeros((4, 3)), [0, 1, 2, 0], names=["a", "b"])
    with pytest.raises(ValueError, match="classes 0 to 3 for a head of 3"):
        compute(np.zeros((4, 3)), [0, 1, 2, 3])
