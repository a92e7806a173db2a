"""Retrieval and probes against scikit-learn and counting by hand."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

from mmjax import metrics
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError
from mmjax.metrics import retrieval

RNG = np.random.default_rng(0)
ROWS, WIDTH = 40, 6
LABELS = RNG.integers(0, 3, ROWS)
CENTRES = RNG.normal(size=(3, WIDTH))


def said(labels=LABELS, noise=1.0, mask=None, seed=1):
    """Outputs of two towers about the centre of each row's class, and their batch."""
    rng = np.random.default_rng(seed)
    values = jnp.asarray(CENTRES[labels][:, None] + noise * rng.normal(size=(len(labels), 2, WIDTH)), jnp.float32)
    mask = jnp.ones(values.shape[:2], bool) if mask is None else jnp.asarray(mask)
    streams = {name: Tokens(values[:, i : i + 1], mask[:, i : i + 1]) for i, name in enumerate(("image", "text"))}
    return Outputs(streams, Tokens(values, mask), {}), Batch({}, {"y": Signal(labels, np.ones(len(labels), bool))})


def gathered(metric, outputs, batch):
    return metrics.gather([metric(outputs, batch)])


def test_ranks_are_those_counted_by_hand():
    outputs, batch = said()
    vectors = np.asarray(outputs.fused.values, np.float64)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    likeness = vectors[:, 0] @ vectors[:, 1].T
    own = np.argmax(np.argsort(-likeness, axis=1) == np.arange(ROWS)[:, None], axis=1)
    found = metrics.Retrieval("image", "text").compute(gathered(metrics.Retrieval("image", "text"), outputs, batch))
    for at in (1, 5, 10):
        assert found[f"recall_at_{at}"]["value"] == pytest.approx(np.mean(own < at))
    assert found["median_rank"]["value"] == np.median(own + 1)
    other = np.argmax(np.argsort(-likeness.T, axis=1) == np.arange(ROWS)[:, None], axis=1)
    assert found["back_recall_at_5"]["value"] == pytest.approx(np.mean(other < 5))
    assert found["recall_at_5"]["low"] < found["recall_at_5"]["value"] < found["recall_at_5"]["high"]
    metric = metrics.Retrieval("image", "text", target="y")
    first = metric.compute(gathered(metric, outputs, batch), resamples=0)["recall_at_1"]["value"]
    assert first == pytest.approx(np.mean(LABELS[likeness.argmax(axis=1)] == LABELS))


def test_rows_without_both_play_no_part_and_ties_are_halved():
    mask = np.ones((ROWS, 2), bool)
    mask[::4, 1] = False
    outputs, batch = said(mask=mask)
    metric = metrics.Retrieval("image", "text")
    found = metric.compute(gathered(metric, outputs, batch), resamples=5)
    assert found["count"] == ROWS - ROWS // 4
    same = np.ones((4, WIDTH))
    np.testing.assert_array_equal(retrieval.ranks(same, same, np.arange(4)), 1 + 3 / 2)
    nothing = metric.compute(gathered(metric, *said(mask=np.zeros((ROWS, 2), bool))), resamples=5)
    assert nothing["count"] == 0 and nothing["recall_at_1"]["value"] is None
    json.dumps(nothing, allow_nan=False)


LEARNERS = {
    "linear": metrics.Linear(),
    "neighbours": metrics.Neighbours(5, temperature=1e6),
    "few": metrics.FewShot(shots=4),
    "prototypes": metrics.Prototypes(),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_probes_learn_from_the_reference_rows(name):
    probe = metrics.Probe("y", "image", LEARNERS[name], shared=name == "prototypes", by="text" * (name == "prototypes"))
    asked, known = (gathered(probe, *said(noise=0.5, seed=seed)) for seed in (1, 2))
    found = probe.compute(asked, reference=known, names=("a", "b", "c"), resamples=20)
    assert found["accuracy"]["value"] > 0.8 and found["count"] == found["reference"] == ROWS
    assert set(found["per_class"]) == {"a", "b", "c"}
    shuffled = known.replace(targets=np.random.default_rng(0).permutation(known.targets))
    assert probe.compute(asked, reference=shuffled, resamples=0)["accuracy"]["value"] < 0.7
    if name == "neighbours":
        model = KNeighborsClassifier(5, metric="cosine").fit(known.scores[:, 0], known.targets)
        wanted = np.mean(model.predict(asked.scores[:, 0]) == asked.targets)
        assert found["accuracy"]["value"] == pytest.approx(wanted, abs=0.03)  # ties are broken otherwise


def test_few_shots_are_scikit_learns_ridge():
    known, asked = RNG.normal(size=(ROWS, WIDTH)), RNG.normal(size=(7, WIDTH))
    learner = metrics.FewShot(shots=5, decay=0.3, draws=2)
    rng, expected = np.random.default_rng(learner.seed), np.zeros((7, 3))
    for _ in range(2):
        order = rng.permutation(ROWS)
        rows = np.concatenate([[i for i in order if LABELS[i] == k][:5] for k in range(3)])
        inputs = known[rows]
        decay = 0.3 * np.square(inputs - inputs.mean(axis=0)).sum(axis=1).mean()
        expected += Ridge(alpha=decay).fit(inputs, np.eye(3)[LABELS[rows]]).predict(asked) / 2
    np.testing.assert_allclose(learner(known, LABELS, asked, 3), expected, rtol=1e-9)


def test_prompts_of_a_class_are_one_vector():
    """CLIP's ensemble: each prompt of length 1, then their mean of length 1, then the cosine."""
    prompts, asked = RNG.normal(size=(ROWS, WIDTH)) * RNG.uniform(0.1, 9, (ROWS, 1)), RNG.normal(size=(7, WIDTH))
    found = metrics.Prototypes(scale=100.0)(prompts, LABELS, asked, 4)
    for k in range(3):
        mean = np.mean([one / np.linalg.norm(one) for one, label in zip(prompts, LABELS, strict=True) if label == k], 0)
        cosine = asked @ mean / np.linalg.norm(mean) / np.linalg.norm(asked, axis=1)
        np.testing.assert_allclose(found[:, k], 100 * cosine, rtol=1e-9)
    assert np.all(found[:, 3] == -1e3)  # a class without prompts


def test_a_probe_of_no_stream_is_of_what_is_fused():
    outputs, batch = said()
    rows = metrics.Probe("y", "")(outputs, batch)
    np.testing.assert_allclose(rows.scores[:, 0], outputs.fused.values.mean(axis=1), rtol=1e-5)


def test_what_cannot_be_probed_is_said():
    probe = metrics.Probe("y", "image")
    rows = gathered(probe, *said())
    with pytest.raises(ValueError, match="learns from rows of reference"):
        probe.compute(rows)
    with pytest.raises(UserError, match="no reference row has both 'image'"):
        probe.compute(rows, reference=gathered(probe, *said(mask=np.zeros((ROWS, 2), bool))))
    with pytest.raises(UserError, match="set shared"):
        metrics.Probe("y", "image", by="text")
