"""Rows between rows: what is mixed, with what shares, and what stays as it is."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives, views
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

ROWS, CLASSES = 64, 5
RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(ROWS, 6, 2)).astype(np.float32)
PICTURE = RNG.integers(0, 256, (ROWS, 4, 4, 1)).astype(np.uint8)
LABELS = np.arange(ROWS).astype(np.int32) % CLASSES
NUMBERS = RNG.normal(size=ROWS).astype(np.float32)


def batch(**targets):
    inputs = {"series": Signal(SERIES, np.ones((ROWS, 6), bool)), "image": Signal(PICTURE, np.ones((ROWS, 1), bool))}
    targets = targets or {"label": Signal(LABELS, np.ones(ROWS, bool)), "size": Signal(NUMBERS, np.ones(ROWS, bool))}
    return Batch(inputs, targets)


def said(_):
    return SimpleNamespace(heads={"label": jnp.zeros((ROWS, CLASSES))})


def mixed(view, given, seed=0):
    return jax.jit(lambda rows, key: view(rows, said=said, key=key))(given, jax.random.key(seed))


def test_inputs_and_answers_are_drawn_towards_the_same_other_row_by_the_same_share():
    found = mixed(views.Mixup(1.0), batch())
    series, shares = np.asarray(found.inputs["series"].values), np.asarray(found.targets["label"].values)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    moved = 0
    for row in range(ROWS):
        own = shares[row, LABELS[row]]
        guesses = [(other, *_share(series[row], SERIES[row], SERIES[other])) for other in range(ROWS) if other != row]
        other, share, error = min(guesses, key=lambda guess: guess[2])
        assert error < 1e-4 and 0.5 <= share <= 1 + 1e-6
        if share > 1 - 1e-4:
            continue
        moved += 1
        assert own == pytest.approx(share if LABELS[other] != LABELS[row] else 1, abs=1e-3)
        blend = share * PICTURE[row] + (1 - share) * PICTURE[other].astype(float)
        np.testing.assert_allclose(found.inputs["image"].values[row], blend, atol=0.51)
        size = share * NUMBERS[row] + (1 - share) * NUMBERS[other]
        np.testing.assert_allclose(found.targets["size"].values[row], size, atol=1e-3)
    assert moved > ROWS // 2
    assert found.inputs["image"].values.dtype == jnp.uint8
    other = mixed(views.Mixup(1.0), batch(), seed=1)
    assert np.any(np.asarray(other.inputs["series"].values) != series)


def _share(between, one, other):
    """How near to ``one`` lies ``between``, on the line to ``other``, and how far from that line."""
    line = (one - other).ravel()
    share = ((between - other).ravel() @ line) / (line @ line)
    return share, np.abs(share * one + (1 - share) * other - between).max()


def test_rows_stay_as_they_are_where_the_other_lacks_something():
    given = batch()
    here = np.arange(ROWS) % 2 == 0
    values = np.where(here[:, None, None], SERIES, np.nan)  # what is not there must reach nothing
    given.inputs["series"] = Signal(values, np.broadcast_to(here[:, None], (ROWS, 6)).copy())
    known = np.arange(ROWS) % 4 < 2
    given.targets["label"] = Signal(np.where(known, LABELS, -1).astype(np.int32), known)
    found = mixed(views.Mixup(1.0), given)
    assert np.all(np.isfinite(found.inputs["series"].values[here]))
    np.testing.assert_array_equal(found.inputs["series"].mask, given.inputs["series"].mask)
    np.testing.assert_array_equal(found.targets["label"].mask.all(axis=1), known)
    group = here * 2 + known  # rows meet only those of their own group
    shares = np.asarray(found.targets["label"].values)
    for row in np.flatnonzero(known):
        allowed = {LABELS[other] for other in range(ROWS) if group[other] == group[row]}
        assert set(np.flatnonzero(shares[row])) <= allowed


def test_named_inputs_alone_are_mixed():
    found = mixed(views.Mixup(1.0, inputs=("series",)), batch())
    np.testing.assert_array_equal(found.inputs["image"].values, PICTURE)
    assert np.any(np.asarray(found.inputs["series"].values) != SERIES)


def test_shares_are_learnt_as_the_two_losses_they_stand_for():
    view = views.Mixup(1.0, inputs=("series",))
    found = mixed(view, batch())
    shares = np.asarray(found.targets["label"].values, np.float64)
    scores = RNG.normal(size=(ROWS, CLASSES)).astype(np.float32)
    empty = Tokens(jnp.zeros((ROWS, 1, 1)), jnp.ones((ROWS, 1), bool))

    def loss(scores):
        outputs = Outputs(streams={}, fused=empty, heads={"label": scores})
        return objectives.CrossEntropy("label")(outputs, found).value()

    value, slope = jax.value_and_grad(loss)(jnp.asarray(scores))
    logs = scores - np.log(np.exp(scores.astype(np.float64)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(value, -(shares * logs).sum(axis=1).mean(), rtol=1e-6)
    np.testing.assert_allclose(slope, (np.exp(logs) - shares) / ROWS, atol=1e-7)


def test_an_unknown_label_is_never_mixed_away():
    found = mixed(views.Mixup(), batch(label=Signal(np.where(LABELS == 2, CLASSES, LABELS), np.ones(ROWS, bool))))
    assert np.all(np.isnan(np.asarray(found.targets["label"].values)[LABELS == 2]))


def test_what_cannot_be_mixed_is_told():
    words = batch()
    words.inputs["text"] = Signal(np.zeros((ROWS, 3), np.int32), np.ones((ROWS, 3), bool))
    with pytest.raises(UserError, match=r"nothing lies between .* 'text'; name others in inputs"):
        mixed(views.Mixup(), words)
    with pytest.raises(UserError, match="target 'kind' is neither"):
        mixed(views.Mixup(), batch(kind=Signal(LABELS, np.ones(ROWS, bool))))
    with pytest.raises(UserError, match="no modality 'sound'"):
        mixed(views.Mixup(inputs=("sound",)), batch())
    with pytest.raises(UserError, match=r"alpha=0 must be above 0"):
        views.Mixup(0)
