"""What every objective and metric promises, run over the table in tests/descriptors."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import descriptors as table
from mmjax import metrics as room
from mmjax.core import Signal, plain

answers = pytest.mark.parametrize("row", table.OBJECTIVES + table.METRICS, ids=str)
objectives = pytest.mark.parametrize("row", table.OBJECTIVES, ids=str)
metrics = pytest.mark.parametrize("row", table.METRICS, ids=str)


def batch_with(row, target):
    return row.batch.replace(targets={"y": target})


def part(row, rows):
    """The same answers of some rows alone."""
    target = jax.tree.map(lambda leaf: leaf[rows], row.batch.targets["y"])
    return row.saying(row.scores()[rows]), batch_with(row, target)


def spoilt(row):
    """Rubbish wherever the mask is False."""
    target, scores = row.batch.targets["y"], row.scores()
    rubbish = jnp.nan if jnp.issubdtype(target.values.dtype, jnp.floating) else -1
    mask = target.mask.reshape(target.mask.shape + (1,) * (scores.ndim - target.mask.ndim))
    values = jnp.where(target.mask, target.values, jnp.asarray(rubbish, target.values.dtype))
    return row.saying(jnp.where(mask, scores, jnp.nan)), batch_with(row, Signal(values, target.mask))


@answers
def test_survives_json(row):
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(row.value)))) == row.value


@answers
def test_head_may_be_named_apart(row):
    other = dataclasses.replace(row.value, head="z")
    found = other(row.outputs.replace(heads={"z": row.outputs.heads["y"]}), row.batch)
    jax.tree.map(np.testing.assert_array_equal, found, row.value(row.outputs, row.batch))


@answers
def test_masked_answers_change_nothing(row):
    found = jax.jit(row.value)(*spoilt(row))
    jax.tree.map(np.testing.assert_array_equal, found, jax.jit(row.value)(row.outputs, row.batch))


@objectives
def test_masked_answers_have_no_gradient(row):
    outputs, batch = spoilt(row)
    gradient = jax.grad(lambda scores: row.value(row.saying(scores), batch).value())(row.scores(outputs))
    target = batch.targets["y"]
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[~target.mask])
    assert np.all(gradient[target.mask] != 0)


@objectives
def test_means_add_up_over_any_split_and_the_count_is_the_batchs_own(row):
    whole = row.value(row.outputs, row.batch)
    first, second = row.value(*part(row, slice(2))), row.value(*part(row, slice(2, None)))
    np.testing.assert_allclose((first + second).value(), whole.value(), rtol=1e-6)
    zeros = row.saying(jnp.zeros_like(row.scores()))
    assert row.value(zeros, row.batch).count == whole.count


@objectives
def test_half_precision_is_reckoned_in_float32(row):
    half = row.scores().astype(jnp.bfloat16)
    mean = row.value(row.saying(half), row.batch)
    assert mean.total.dtype == mean.count.dtype == jnp.float32
    exact = row.value(row.saying(half.astype(jnp.float32)), row.batch)
    assert mean.value() == exact.value()


@metrics
def test_figures_do_not_depend_on_how_rows_were_batched(row):
    measure = jax.jit(row.value)
    whole = room.gather([jax.device_get(measure(row.outputs, row.batch))])
    parts = [jax.device_get(measure(*part(row, rows))) for rows in (slice(1), slice(1, 4), slice(4, None))]
    figures = row.value.compute(whole, resamples=20)
    assert row.value.compute(room.gather(parts), resamples=20) == figures
    assert figures["count"] == np.asarray(row.batch.targets["y"].mask).reshape(6, -1).any(axis=1).sum()
    json.dumps(figures, allow_nan=False)


@metrics
def test_nothing_at_all_is_finite(row):
    outputs, batch = spoilt(row)
    target = batch.targets["y"]
    batch = batch_with(row, target.replace(mask=jnp.zeros_like(target.mask)))
    figures = row.value.compute(jax.device_get(row.value(outputs, batch)), resamples=20)
    assert figures["count"] == 0
    json.dumps(figures, allow_nan=False)


@metrics
def test_hardest_come_first(row):
    rows = jax.device_get(row.value(row.outputs, row.batch))
    found = row.value.hardest(rows, count=3)
    assert [case["loss"] for case in found] == sorted((case["loss"] for case in found), reverse=True)
    assert len({case["index"] for case in found}) == 3
    json.dumps(found, allow_nan=False)
