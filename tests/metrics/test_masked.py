"""Accuracy, loss and majority of hidden words, and the error of hidden numbers, against their definitions."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from descriptors.row import integers, noise, tokens
from mmjax import metrics
from mmjax.core import Batch, Factored, Outputs, Signal

FEATURES, KERNEL = noise(6, 5, 3), noise(3, 7)
WORDS, MASK = integers(7, 6, 5).astype(np.int32), integers(10, 6, 5) < 4
MASK[2] = False  # a row of which nothing is asked


def told(metric, scores, values, mask, resamples=50):
    batch = Batch({}, {"y": Signal(jnp.asarray(values), jnp.asarray(mask))})
    rows = metric(Outputs({}, tokens(3, 1), {"y": scores}), batch)
    return metric.compute(metrics.gather([rows]), resamples=resamples)


@pytest.mark.parametrize("factored", [True, False])
def test_figures_of_words_are_those_of_the_definition(factored):
    logits = np.asarray(FEATURES, np.float64) @ np.asarray(KERNEL, np.float64)
    found = told(metrics.Masked("y"), Factored(FEATURES, KERNEL) if factored else FEATURES @ KERNEL, WORDS, MASK)
    nats = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, WORDS[..., None], axis=-1)[..., 0]
    right = logits.argmax(-1) == WORDS
    assert found["count"] == MASK.sum()
    assert found["accuracy"]["value"] == pytest.approx(right[MASK].mean(), rel=1e-6)
    assert found["loss"]["value"] == pytest.approx(nats[MASK].mean(), rel=1e-5)
    assert found["perplexity"]["value"] == pytest.approx(math.exp(nats[MASK].mean()), rel=1e-5)
    assert found["majority"]["value"] == pytest.approx(np.bincount(WORDS[MASK]).max() / MASK.sum())
    for name in ("accuracy", "loss", "perplexity", "majority"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_intervals_are_over_rows():
    """Rows that are right or wrong as a whole: as wide as those of so many coins, not of so many words."""
    rows, words = 100, 20
    right = np.arange(rows) % 2 == 0
    scores = np.where(right[:, None, None], [1.0, 0.0], [0.0, 1.0]).repeat(words, axis=1).astype(np.float32)
    mask = np.ones((rows, words), bool)
    found = told(metrics.Masked("y"), scores, np.zeros((rows, words), np.int32), mask, resamples=2_000)["accuracy"]
    assert found["value"] == 0.5 and found["high"] - found["low"] == pytest.approx(2 * 1.96 * 0.05, rel=0.15)


@pytest.mark.parametrize("normed", [True, False])
def test_the_error_of_what_was_hidden_is_that_of_the_definition(normed):
    guess, truth = np.asarray(noise(6, 5, 4), np.float64), np.asarray(noise(6, 5, 4, seed=1), np.float64) + 2
    mask = np.broadcast_to(MASK[..., None], truth.shape)
    found = told(metrics.Reconstruction("y", normed=normed), jnp.asarray(guess, jnp.float32), truth.astype("f"), mask)
    if normed:
        truth = (truth - truth.mean(-1, keepdims=True)) / np.sqrt(truth.var(-1, ddof=1, keepdims=True) + 1e-6)
    error, constant = np.square(guess - truth)[mask].mean(), truth[mask].var()
    assert found["error"]["value"] == pytest.approx(error, rel=1e-5)
    assert found["constant"]["value"] == pytest.approx(constant, rel=1e-4)
    assert found["r2"]["value"] == pytest.approx(1 - error / constant, rel=1e-4)
    assert found["count"] == MASK.any(axis=1).sum()


def test_where_nothing_is_asked_figures_are_not_known():
    found = told(metrics.Masked("y"), FEATURES @ KERNEL, WORDS, np.zeros_like(MASK))
    assert found["count"] == 0 and found["accuracy"]["value"] is None and found["accuracy"]["reason"]
