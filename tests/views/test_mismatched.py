"""Pairs that only look like pairs: where they come from, how often, and what is learned from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives, views
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

ROWS = 4
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(ROWS, 2, 3)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=-1, keepdims=True)
SCALE = 2.0


def batch_of(*, here=(True, True, True, True)):
    """Each value tells its row."""
    number, there = jnp.arange(ROWS), jnp.ones(ROWS, bool)
    image = Signal(jnp.broadcast_to(number[:, None], (ROWS, 2)).astype(jnp.float32), jnp.asarray(here)[:, None])
    return Batch(
        {"image": image, "text": Signal(number[:, None], there[:, None]), "more": Signal(number, there)},
        {"label": Signal(number, there)},
    )


def said(inputs):
    """What a model with a vector of each modality says."""
    mask = jnp.stack([inputs["image"].mask[:, 0], inputs["text"].mask[:, 0]], axis=1)
    streams = {name: Tokens(inputs[name].values, inputs[name].mask) for name in ("image", "text")}
    heads = {"scale": jnp.broadcast_to(jnp.asarray([SCALE, 0.0]), (ROWS, 2))}
    return Outputs(streams, Tokens(jnp.asarray(VECTORS), mask), heads)


def seen(key=0, **options):
    return views.Mismatched()(batch_of(**options), said=said, key=jax.random.key(key))


def test_made_rows_have_one_side_of_another_row():
    found = seen()
    image, text = np.asarray(found.inputs["image"].values[:, 0]), np.asarray(found.inputs["text"].values[:, 0])
    own = np.arange(ROWS)
    np.testing.assert_array_equal(image[: 2 * ROWS], np.tile(own, 2))
    np.testing.assert_array_equal(text[:ROWS], own)
    np.testing.assert_array_equal(text[2 * ROWS :], own)
    assert np.all(text[ROWS : 2 * ROWS] != own) and np.all(image[2 * ROWS :] != own)
    np.testing.assert_array_equal(found.inputs["more"].values, np.tile(own, 3))
    np.testing.assert_array_equal(found.targets["match"].values, [1] * ROWS + [0] * 2 * ROWS)
    assert np.all(found.targets["match"].mask)
    np.testing.assert_array_equal(found.targets["label"].mask, [True] * ROWS + [False] * 2 * ROWS)


def test_they_are_drawn_by_likeness():
    """Over many draws each row comes as often as the softmax of the products says, itself left out."""
    keys = jax.random.split(jax.random.key(1), 4000)
    found = jax.jit(jax.vmap(lambda key: views.Mismatched()(batch_of(), said=said, key=key).inputs))(keys)
    logits = SCALE * VECTORS[:, 0].astype(np.float64) @ VECTORS[:, 1].T
    for name, first, table in (("text", ROWS, logits), ("image", 2 * ROWS, logits.T)):
        likely = np.where(np.eye(ROWS, dtype=bool), 0, np.exp(table))
        likely /= likely.sum(axis=1, keepdims=True)
        drawn = np.asarray(found[name].values[:, first : first + ROWS, 0]).astype(int)
        shares = np.stack([(drawn == row).mean(axis=0) for row in range(ROWS)], axis=1)
        np.testing.assert_allclose(shares, likely, atol=0.04)


def test_rows_that_lack_a_side_take_no_part():
    found = seen(here=(True, False, True, False))
    known = np.asarray(found.targets["match"].mask).reshape(3, ROWS)
    np.testing.assert_array_equal(known, [[True, False, True, False]] * 3)
    text = np.asarray(found.inputs["text"].values[:, 0]).reshape(3, ROWS)
    assert text[1, 0] == 2 and text[1, 2] == 0
    assert not np.any(seen(here=(True, False, False, False)).targets["match"].mask[ROWS:])  # none to draw


def test_the_loss_is_that_of_two_classes():
    scores, answers, mask = RNG.normal(size=(6, 2)), np.array([1, 0, 1, 0, 0, 1]), np.array([1, 1, 0, 1, 1, 1], bool)
    tokens = Tokens(jnp.zeros((6, 1, 1)), jnp.ones((6, 1), bool))
    batch = Batch({}, {"match": Signal(jnp.asarray(answers), jnp.asarray(mask))})

    def loss(scores):
        return objectives.Matching()(Outputs({}, tokens, {"match": scores}), batch).value()

    with jax.enable_x64(True):
        found, gradient = jax.value_and_grad(loss)(jnp.asarray(scores))
    signs = np.where(answers == 1, 1, -1)
    wrong = np.exp(-signs * (scores[:, 1] - scores[:, 0]))
    np.testing.assert_allclose(found, np.log1p(wrong)[mask].mean(), rtol=1e-6)
    slope = np.where(mask, -signs * wrong / (1 + wrong), 0) / mask.sum()
    np.testing.assert_allclose(gradient, np.stack([-slope, slope], axis=1), rtol=1e-6, atol=1e-12)
    with pytest.raises(UserError, match="says one of 3; 2 are wanted"):
        objectives.Matching()(Outputs({}, tokens, {"match": jnp.zeros((6, 3))}), batch)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="no modality 'sound'"):
        views.Mismatched(one="sound")(batch_of(), said=said, key=jax.random.key(0))
    with pytest.raises(UserError, match="has a target 'label' already"):
        views.Mismatched(target="label")(batch_of(), said=said, key=jax.random.key(0))
    with pytest.raises(UserError, match="where='pairs' is no target; there are label"):
        objectives.Contrastive(where="pairs")(said(batch_of().inputs), batch_of())
