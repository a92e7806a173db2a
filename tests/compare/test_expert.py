"""Experts put together: what theory says of them."""

import numpy as np
import pytest

from mmjax.compare import expert
from mmjax.compare.result import Result

RNG = np.random.default_rng(0)
PRIOR = np.array([0.5, 0.3, 0.2])


def drawn(rows, noise):
    """Answers, and the log-likelihoods of two independent noisy tellings of each."""
    answers = RNG.choice(3, rows, p=PRIOR)
    tables = []
    for keep in noise:
        table = np.full((3, 3), (1 - keep) / 2) + np.eye(3) * (keep - (1 - keep) / 2)  # answer, telling
        telling = np.array([RNG.choice(3, p=table[y]) for y in answers])
        tables.append(np.log(table[:, telling].T))
    return answers, np.stack(tables)


def posteriors(likelihoods):
    return expert.log_softmax(np.log(PRIOR) + likelihoods)


def test_product_of_calibrated_experts_is_bayes_rule():
    _, likelihoods = drawn(200, (0.7, 0.8))
    evidence = posteriors(likelihoods) - np.log(PRIOR)
    joint = expert.log_softmax(np.log(PRIOR) + likelihoods.sum(axis=0))
    np.testing.assert_allclose(expert.product(evidence, np.log(PRIOR)), joint, atol=1e-9)


def test_an_absent_expert_changes_nothing():
    _, likelihoods = drawn(50, (0.7, 0.8))
    evidence = posteriors(likelihoods) - np.log(PRIOR)
    evidence[1, :25] = 0
    for way in (expert.product, expert.mean):
        said = way(evidence, np.log(PRIOR))
        np.testing.assert_allclose(said[:25], way(evidence[:1], np.log(PRIOR))[:25], atol=1e-9)
        nothing = way(np.zeros_like(evidence), np.log(PRIOR))
        np.testing.assert_allclose(np.exp(nothing), np.broadcast_to(PRIOR, (50, 3)), atol=1e-9)


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_temperature_mends_what_is_too_sure(heat):
    answers, likelihoods = drawn(4000, (0.75,))
    found = expert.temperature(posteriors(likelihoods[0]) * heat, answers)
    assert found == pytest.approx(heat, rel=0.12)


def test_few_rows_leave_an_expert_nearly_as_it_is():
    assert expert.temperature(np.zeros((0, 3)), np.zeros(0, int)) == pytest.approx(1)
    sure = np.eye(3)[[0, 1]] * 50.0
    assert 0.8 < expert.temperature(sure, np.array([0, 1])) < 1.2


def test_stacking_weighs_experts_by_what_they_are_worth():
    answers, likelihoods = drawn(3000, (0.6, 0.8))
    evidence = posteriors(likelihoods) - np.log(PRIOR)
    twice = np.concatenate([evidence, evidence[1:]])  # the same expert again: the product counts it twice
    fold = expert.stacking(twice, answers, np.log(PRIOR))
    rows = np.arange(len(answers))
    loss = {
        "stacked": -fold(twice)[rows, answers].mean(),
        "product": -expert.product(twice, np.log(PRIOR))[rows, answers].mean(),
        "truth": -expert.product(evidence, np.log(PRIOR))[rows, answers].mean(),
    }
    assert loss["truth"] - 0.01 < loss["stacked"] < loss["truth"] + 0.01 < loss["product"]
    untaught = expert.stacking(evidence[:, :0], answers[:0], np.log(PRIOR))
    np.testing.assert_allclose(untaught(evidence), expert.product(evidence, np.log(PRIOR)), atol=1e-9)


def test_prior_has_no_zero():
    prior = np.exp(expert.log_prior(np.array([0, 0, 1, -1, 0]), 3))
    assert prior == pytest.approx(np.array([4, 2, 1]) / 7)


def test_results_come_back_from_their_file(tmp_path):
    scores = {"b+a": RNG.normal(size=(2, 5, 3)).astype(np.float32), "a": RNG.normal(size=(2, 5, 3)).astype(np.float32)}
    result = Result(scores, np.arange(5, dtype=np.int32), np.arange(5), {"parameters": 3})
    result.save(tmp_path / "x.npz")
    found = Result.load(tmp_path / "x.npz")
    assert list(found.scores) == ["b+a", "a"] and found.facts == {"parameters": 3} and found.seeds == 2
    np.testing.assert_array_equal(found.rows(1).scores, scores["b+a"][1])
    assert Result.load(tmp_path / "y.npz") is None
