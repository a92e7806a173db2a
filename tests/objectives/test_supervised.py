"""Objectives against float64 numpy: values, gradients, masks, weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

ROWS, CLASSES = 7, 5
MASK = np.array([1, 1, 0, 1, 1, 0, 1], bool)


def outputs_of(scores, name="y"):
    empty = Tokens(jnp.zeros((ROWS, 1, 1)), jnp.ones((ROWS, 1), bool))
    return Outputs(streams={}, fused=empty, heads={name: scores})


def batch_of(values, mask, name="y"):
    return Batch(inputs={}, targets={name: Signal(jnp.asarray(values), jnp.asarray(mask))})


def value_and_gradient(objective, scores, batch):
    return jax.value_and_grad(lambda s: objective(outputs_of(s), batch).value())(jnp.asarray(scores, jnp.float32))


def numeric_gradient(function, x, step=1e-6):
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (function(up) - function(down)) / (2 * step)
    return gradient


def softmax_log(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def cross_entropy(x, labels, weights, smoothing):
    """Sum over classes of weight x soft target x -log p, over the sum of the targets' weights."""
    total = count = 0.0
    for row in np.flatnonzero(MASK):
        soft = np.full(CLASSES, smoothing / CLASSES)
        soft[labels[row]] += 1 - smoothing
        total += -(weights * soft * softmax_log(x[row])).sum()
        count += weights[labels[row]]
    return total / count


def binary(x, y, mask, weights):
    cells = weights * y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)
    return cells[mask].mean()


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 0.5, 0.0, 3.0)])
def test_cross_entropy_is_float64s(scale, smoothing, weights):
    rng = np.random.default_rng(0)
    x = np.float64(np.float32(scale * rng.normal(size=(ROWS, CLASSES))))
    labels = np.array([0, 1, -1, 2, 4, -1, 1], np.int32)
    given = np.array(weights or np.ones(CLASSES))
    dirty = np.where(MASK[:, None], x, np.nan)
    objective = objectives.CrossEntropy("y", smoothing=smoothing, class_weights=weights)
    value, gradient = value_and_gradient(objective, dirty, batch_of(labels, MASK))
    expected = cross_entropy(x, labels, given, smoothing)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    slope = numeric_gradient(lambda z: cross_entropy(z, labels, given, smoothing), x)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)
    shares = batch_of(np.float32(np.eye(CLASSES))[labels], np.repeat(MASK[:, None], CLASSES, axis=1))
    again = value_and_gradient(objective, dirty, shares)
    np.testing.assert_allclose(again[0], value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(again[1], gradient, atol=1e-6)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 0.5)])
def test_binary_cross_entropy_is_float64s_with_a_mask_for_each_label(weights):
    rng = np.random.default_rng(1)
    x = np.float64(np.float32(5 * rng.normal(size=(ROWS, 3))))
    y, mask = rng.integers(0, 2, (ROWS, 3)).astype(np.float32), rng.random((ROWS, 3)) < 0.7
    given = np.array(weights or np.ones(3))
    dirty_y = np.where(mask, y, np.nan).astype(np.float32)
    objective = objectives.BinaryCrossEntropy("y", positive_weights=weights)
    value, gradient = value_and_gradient(objective, np.where(mask, x, np.inf), batch_of(dirty_y, mask))
    np.testing.assert_allclose(value, binary(x, y, mask, given), rtol=1e-6)
    np.testing.assert_allclose(gradient, numeric_gradient(lambda z: binary(z, y, mask, given), x), atol=1e-6)


@pytest.mark.parametrize("columns", [(), (2,)])
@pytest.mark.parametrize(
    ("objective", "error"), [(objectives.SquaredError("y"), np.square), (objectives.AbsoluteError("y"), np.abs)]
)
def test_errors_of_numbers_are_float64s(objective, error, columns):
    rng = np.random.default_rng(2)
    x, y = (np.float64(np.float32(rng.normal(size=(ROWS, *columns)))) for _ in range(2))
    mask = np.broadcast_to(MASK.reshape((-1,) + (1,) * len(columns)), x.shape)
    batch = batch_of(np.where(mask, y, np.nan).astype(np.float32), mask)
    value, gradient = value_and_gradient(objective, np.where(mask, x, np.nan), batch)
    np.testing.assert_allclose(value, error(x - y)[mask].mean(), rtol=1e-6)
    np.testing.assert_allclose(gradient, numeric_gradient(lambda z: error(z - y)[mask].mean(), x), atol=1e-6)


def test_half_precision_is_reckoned_in_float32():
    x = jnp.asarray(np.random.default_rng(3).normal(size=(ROWS, CLASSES)), jnp.bfloat16)
    labels = np.arange(ROWS, dtype=np.int32) % CLASSES
    mean = objectives.CrossEntropy("y")(outputs_of(x), batch_of(labels, MASK))
    assert mean.total.dtype == jnp.float32
    expected = cross_entropy(np.asarray(x, np.float64), labels, np.ones(CLASSES), 0.0)
    np.testing.assert_allclose(mean.value(), expected, rtol=1e-6)


def test_means_of_parts_add_up_to_the_whole():
    x = np.random.default_rng(4).normal(size=(ROWS, CLASSES)).astype(np.float32)
    labels = np.arange(ROWS, dtype=np.int32) % CLASSES
    objective = objectives.CrossEntropy("y", class_weights=(1.0, 2.0, 3.0, 4.0, 5.0))
    whole = objective(outputs_of(x), batch_of(labels, MASK))
    first, second = (
        objective(outputs_of(x[part]), batch_of(labels[part], MASK[part])) for part in (slice(3), slice(3, None))
    )
    np.testing.assert_allclose((first + second).value(), whole.value(), rtol=1e-6)


def test_a_batch_without_answers_costs_nothing():
    batch = batch_of(np.full(ROWS, -1, np.int32), np.zeros(ROWS, bool))
    value, gradient = value_and_gradient(objectives.CrossEntropy("y"), np.full((ROWS, CLASSES), np.nan), batch)
    assert value == 0 and not np.any(gradient)


def test_an_unknown_label_is_never_trained_on_in_silence():
    batch = batch_of(np.full(ROWS, CLASSES, np.int32), np.ones(ROWS, bool))
    value = objectives.CrossEntropy("y")(outputs_of(np.zeros((ROWS, CLASSES), np.float32)), batch).value()
    assert np.isnan(value)


def test_head_may_have_another_name_than_the_target():
    batch = batch_of(np.zeros(ROWS, np.int32), MASK)
    outputs = outputs_of(np.zeros((ROWS, CLASSES), np.float32), name="answer")
    np.testing.assert_allclose(
        objectives.CrossEntropy("y", head="answer")(outputs, batch).value(), np.log(CLASSES), rtol=1e-6
    )
    with pytest.raises(UserError, match="no head 'y'; it has answer"):
        objectives.CrossEntropy("y")(outputs, batch)
    with pytest.raises(UserError, match="no target 'z'; it has y"):
        objectives.CrossEntropy("z", head="answer")(outputs, batch)


@pytest.mark.parametrize(
    ("objective", "scores", "target"),
    [
        (objectives.CrossEntropy("y"), (ROWS,), (ROWS,)),
        (objectives.CrossEntropy("y"), (ROWS, 3), (ROWS, 2)),
        (objectives.BinaryCrossEntropy("y"), (ROWS, 3), (ROWS, 2)),
        (objectives.SquaredError("y"), (ROWS, 1), (ROWS,)),
        (objectives.AbsoluteError("y"), (ROWS,), (ROWS, 1)),
    ],
)
def test_shapes_that_do_not_fit_name_head_and_target(objective, scores, target):
    batch = batch_of(np.zeros(target, np.float32), np.ones(target, bool))
    with pytest.raises(ValueError, match=r"head 'y' of shape .* does not fit target 'y' of shape"):
        objective(outputs_of(np.zeros(scores, np.float32)), batch)


def test_rows_without_the_stream_are_left_out():
    rng = np.random.default_rng(5)
    x, labels = np.float64(np.float32(rng.normal(size=(ROWS, CLASSES)))), np.arange(ROWS, dtype=np.int32) % CLASSES
    here = np.array([1, 0, 1, 1, 0, 0, 1], bool)
    seen = Signal(jnp.zeros((ROWS, 2)), jnp.asarray(here[:, None] & np.array([True, False])))
    batch = batch_of(labels, MASK).replace(inputs={"sight": seen})
    objective = objectives.CrossEntropy("y", stream="sight")
    value, gradient = value_and_gradient(objective, x, batch)
    logs = softmax_log(x)[np.arange(ROWS), labels]
    np.testing.assert_allclose(value, -logs[here & MASK].mean(), rtol=1e-6)
    assert not np.any(gradient[~(here & MASK)])
    sure = objective.confidence(outputs_of(jnp.asarray(x, jnp.float32)), batch).value()
    np.testing.assert_allclose(sure, np.exp(logs)[here & MASK].mean(), rtol=1e-6)
    number = objectives.SquaredError("y", stream="sight")
    value, _ = value_and_gradient(number, x[:, 0], batch.replace(targets={"y": Signal(jnp.zeros(ROWS), MASK)}))
    np.testing.assert_allclose(value, np.square(x[here & MASK, 0]).mean(), rtol=1e-6)
    with pytest.raises(UserError, match="no modality 'sound'; it has sight"):
        objectives.CrossEntropy("y", stream="sound")(outputs_of(x), batch)


def test_settings_out_of_range_are_the_users_to_mend():
    with pytest.raises(UserError, match="smoothing"):
        objectives.CrossEntropy("y", smoothing=1.0)
    with pytest.raises(UserError, match="not negative"):
        objectives.CrossEntropy("y", class_weights=(1.0, -1.0))
    with pytest.raises(UserError, match="has 2 numbers, its head has 5 classes"):
        batch = batch_of(np.zeros(ROWS, np.int32), MASK)
        objectives.CrossEntropy("y", class_weights=(1.0, 1.0))(outputs_of(np.zeros((ROWS, CLASSES))), batch)
