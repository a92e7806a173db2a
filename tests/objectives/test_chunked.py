"""Cross-entropy from factors against the dense formula in float64: value, gradients, memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import flops, objectives
from mmjax.core import Batch, Factored, Outputs, Signal, Tokens, UserError
from mmjax.objectives import chunked

RNG = np.random.default_rng(0)
SHAPE, WIDTH, WORDS = (3, 7), 4, 6
FEATURES, KERNEL = RNG.normal(size=(*SHAPE, WIDTH)), RNG.normal(size=(WIDTH, WORDS))
LABELS, MASK = RNG.integers(0, WORDS, SHAPE), RNG.random(SHAPE) < 0.7
WEIGHTS = tuple(RNG.uniform(0.5, 2.0, WORDS))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Cut where nobody would."""
    monkeypatch.setattr(chunked, "_ROWS", 4)
    monkeypatch.setattr(chunked, "_LOGITS", 1)


def loss(objective, features, kernel, labels=LABELS, mask=MASK, *, dense=False):
    empty = Tokens(jnp.zeros((1, 1, 1)), jnp.ones((1, 1), bool))
    said = features @ kernel if dense else Factored(jnp.asarray(features), jnp.asarray(kernel))
    outputs = Outputs(streams={}, fused=empty, heads={"y": said})
    return objective(outputs, Batch({}, {"y": Signal(jnp.asarray(labels), jnp.asarray(mask))})).value()


@pytest.mark.parametrize("fields", [{}, {"smoothing": 0.1, "class_weights": WEIGHTS}])
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_equals_the_dense_formula_in_float64(fields, pieces):
    with jax.enable_x64(True):
        objective = objectives.CrossEntropy("y", pieces=pieces, **fields)
        weights = np.asarray(fields.get("class_weights", np.ones(WORDS)))
        smoothing = fields.get("smoothing", 0.0)

        def reference(features, kernel):
            logs = jax.nn.log_softmax(features @ kernel)
            soft = (1 - smoothing) * jax.nn.one_hot(LABELS, WORDS) + smoothing / WORDS
            return jnp.sum(-jnp.sum(weights * soft * logs, -1) * MASK) / np.sum(weights[LABELS] * MASK)

        both = jax.value_and_grad(functools.partial(loss, objective), argnums=(0, 1))
        found, expected = both(FEATURES, KERNEL), jax.value_and_grad(reference, argnums=(0, 1))(FEATURES, KERNEL)
        np.testing.assert_allclose(loss(objective, FEATURES, KERNEL), expected[0], rtol=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), found, expected)


def test_masked_rows_may_hold_anything():
    spoilt = jnp.where(MASK[..., None], FEATURES, jnp.nan).astype(jnp.float32)
    labels = np.where(MASK, LABELS, -1)
    objective = objectives.CrossEntropy("y", pieces=3)
    gradient = jax.jit(jax.grad(functools.partial(loss, objective, labels=labels), argnums=(0, 1)))
    found = gradient(spoilt, jnp.asarray(KERNEL, jnp.float32))
    same = gradient(jnp.asarray(FEATURES, jnp.float32), jnp.asarray(KERNEL, jnp.float32))
    jax.tree.map(np.testing.assert_array_equal, found, same)
    assert not np.any(found[0][~MASK])


def test_a_label_that_is_not_there_is_nan():
    labels = np.where(np.arange(SHAPE[1]) == np.argmax(MASK[0]), WORDS, LABELS)
    assert np.isnan(loss(objectives.CrossEntropy("y"), FEATURES, KERNEL, labels))


def test_each_row_has_its_own_loss_and_confidence():
    features, kernel = jnp.asarray(FEATURES, jnp.float32), jnp.asarray(KERNEL, jnp.float32)

    def rows(features, kernel):
        return chunked.losses(Factored(features, kernel), jnp.asarray(LABELS), most=3)

    def dense(features, kernel):
        logs = jax.nn.log_softmax(features @ kernel)
        return -jnp.take_along_axis(logs, LABELS[..., None], axis=-1)[..., 0]

    np.testing.assert_allclose(rows(features, kernel), dense(features, kernel), rtol=1e-5)
    odd = jnp.asarray(RNG.normal(size=SHAPE), jnp.float32)
    one, other = (jax.vjp(how, features, kernel)[1](odd) for how in (rows, dense))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, other)


def test_bfloat16_features_leave_a_float32_gradient_of_the_kernel():
    features, kernel = jnp.asarray(FEATURES, jnp.bfloat16), jnp.asarray(KERNEL, jnp.float32)
    objective = objectives.CrossEntropy("y", pieces=2)
    value, (by_features, by_kernel) = jax.value_and_grad(functools.partial(loss, objective), (0, 1))(features, kernel)
    assert (value.dtype, by_features.dtype, by_kernel.dtype) == (jnp.float32, jnp.bfloat16, jnp.float32)
    exact = jax.grad(functools.partial(loss, objective, dense=True), 1)(FEATURES.astype(np.float32), kernel)
    np.testing.assert_allclose(by_kernel, exact, atol=0.02)


def test_the_gradient_costs_three_products_and_a_twentieth_of_the_memory(monkeypatch):
    monkeypatch.undo()
    rows, width, words = 8192, 8, 131_072
    shapes = jax.ShapeDtypeStruct((rows, width), jnp.float32), jax.ShapeDtypeStruct((width, words), jnp.float32)
    labels, mask = np.zeros(rows, np.int32), np.ones(rows, bool)

    def gradient(**fields):
        how = functools.partial(loss, objectives.CrossEntropy("y"), labels=labels, mask=mask, **fields)
        return jax.value_and_grad(how, argnums=(0, 1))

    assert flops.count(gradient(), *shapes) == 3 * 2 * rows * width * words
    whole, cut = (
        jax.jit(gradient(dense=dense)).lower(*shapes).compile().memory_analysis().temp_size_in_bytes
        for dense in (True, False)
    )
    assert cut <= 0.05 * whole


def test_pieces_have_to_be_some():
    with pytest.raises(UserError, match="pieces must be at least 1"):
        objectives.CrossEntropy("y", pieces=0)
