"""Loss, perplexity and bits per byte of words."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from descriptors.row import integers, noise, tokens
from mmjax import metrics
from mmjax.core import Batch, Factored, Outputs, Signal

FEATURES, KERNEL = noise(4, 5, 3), noise(3, 7)
WORDS, MASK = integers(7, 4, 5).astype(np.int32), integers(10, 4, 5) < 7
SIZES = np.array([0, 0, 1, 1, 2, 3, 4])


def figures(scores, **fields):
    metric = metrics.Language("y")
    batch = Batch({}, {"y": Signal(jnp.asarray(WORDS), jnp.asarray(MASK))})
    rows = metric(Outputs({}, tokens(3, 1), {"y": scores}), batch)
    return metric.compute(rows, resamples=50, **fields)


@pytest.mark.parametrize("factored", [True, False])
def test_figures_are_those_of_the_definition(factored):
    logits = np.asarray(FEATURES @ KERNEL, np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(logs, WORDS[..., None], axis=-1)[..., 0]
    loss = nats[MASK].mean()
    found = figures(Factored(FEATURES, KERNEL) if factored else FEATURES @ KERNEL, sizes=SIZES)
    assert found["loss"]["value"] == pytest.approx(loss, rel=1e-5)
    assert found["perplexity"]["value"] == pytest.approx(math.exp(loss), rel=1e-5)
    bits = nats[MASK].sum() / math.log(2) / SIZES[WORDS][MASK].sum()
    assert found["bits_per_byte"]["value"] == pytest.approx(bits, rel=1e-5)
    assert found["loss"]["low"] <= found["loss"]["value"] <= found["loss"]["high"]
    assert found["count"] == MASK.sum()


def test_bytes_that_are_not_known_are_told():
    found = figures(FEATURES @ KERNEL)
    assert found["bits_per_byte"]["value"] is None and "not known" in found["bits_per_byte"]["reason"]
