"""From batches on the device to the rows of one evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import metrics
from mmjax.core import Batch, Outputs, Signal, Tokens


def outputs_of(scores):
    empty = Tokens(jnp.zeros((len(scores), 1, 1)), jnp.ones((len(scores), 1), bool))
    return Outputs(streams={}, fused=empty, heads={"y": scores})


def batch_of(values, mask):
    return Batch(inputs={}, targets={"y": Signal(jnp.asarray(values), jnp.asarray(mask))})


@pytest.mark.parametrize(
    ("metric", "scores", "targets"),
    [
        (metrics.Classification("y"), (4, 3), (4,)),
        (metrics.MultiLabel("y"), (4, 3), (4, 3)),
        (metrics.Regression("y"), (4,), (4,)),
        (metrics.Regression("y"), (4, 2), (4, 2)),
    ],
)
def test_metrics_run_inside_jit_and_rows_join_in_order(metric, scores, targets):
    rng = np.random.default_rng(0)
    step = jax.jit(lambda outputs, batch: metric(outputs, batch))
    batches, kept_scores, kept_targets = [], [], []
    for last in (False, True):
        x = jnp.asarray(rng.normal(size=scores), jnp.bfloat16)
        y = np.float32(rng.integers(0, 2, targets))
        mask = np.ones(targets, bool)
        mask[2:] &= not last  # the last batch is padded
        batches.append(jax.device_get(step(outputs_of(x), batch_of(np.where(mask, y, -1), mask))))
        kept_scores.append(np.asarray(x, np.float32)[: 2 if last else 4])
        kept_targets.append(y[: 2 if last else 4])
    rows = metrics.gather(batches)
    np.testing.assert_array_equal(rows.scores, np.concatenate(kept_scores))
    np.testing.assert_array_equal(rows.targets, np.concatenate(kept_targets))
    np.testing.assert_array_equal(rows.index, np.arange(6))
    assert rows.scores.dtype == np.float32 and rows.mask.all()
    assert metric.compute(rows, resamples=10)["count"] == 6


def test_row_keeps_its_number_when_an_unlabelled_one_is_left_out():
    mask = np.array([True, False, True])
    rows = metrics.gather([metrics.Rows(np.zeros((3, 2)), np.zeros(3, int), mask)] * 2)
    np.testing.assert_array_equal(rows.index, [0, 2, 3, 5])
    np.testing.assert_array_equal(metrics.gather([rows]).index, [0, 2, 3, 5])


def test_row_with_one_known_label_is_kept_with_its_mask():
    mask = np.array([[True, False], [False, False]])
    rows = metrics.gather([metrics.Rows(np.zeros((2, 2)), np.zeros((2, 2)), mask)])
    np.testing.assert_array_equal(rows.mask, [[True, False]])
