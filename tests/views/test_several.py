"""Rows of several views, what compares them, and changes of pictures and series."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives, views
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (6, 8, 10, 3)).astype(np.uint8)
SERIES = RNG.normal(size=(6, 12, 2)).astype(np.float32)
CHANGES = [views.Noise(), views.Shift(), views.Erase(), views.Light(), views.Crop(), views.Flip()]


def changed(values, *steps, key=KEY):
    signal = Signal(values, np.ones((len(values), 1), bool))
    return np.asarray(jax.jit(lambda s, k: views.augment.apply(s, steps, key=k))(signal, key).values)


@pytest.mark.parametrize("step", CHANGES, ids=lambda step: type(step).__name__)
def test_changes_keep_shape_and_kind_and_differ_by_row_and_key(step):
    alike = np.repeat(PICTURE[:1], 8, axis=0)
    one, again, other = (changed(alike, step, key=jax.random.key(seed)) for seed in (0, 0, 1))
    assert one.shape == alike.shape and one.dtype == np.uint8
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other) and np.any(one != one[:1])
    rows = jax.vmap(lambda key: step(jnp.asarray(alike, jnp.float32), key=key))(jax.random.split(KEY, 2))
    assert np.any(rows[0] != rows[1])


@pytest.mark.parametrize("step", [views.Noise(), views.Shift(fill=0.0), views.Erase(), views.Light()])
def test_series_and_waveforms_are_changed_too(step):
    for values in (SERIES, SERIES[..., 0]):
        assert changed(values, step).shape == values.shape and np.any(changed(values, step) != values)


@pytest.mark.parametrize("step", [views.Noise(0.0), views.Shift(0), views.Light(0, 0), views.Crop(1.0, 1.0, 1.0)])
def test_no_change_changes_nothing(step):
    np.testing.assert_array_equal(changed(PICTURE, step), PICTURE)


def test_a_picture_is_moved_mirrored_erased_and_cut():
    moved = changed(PICTURE, views.Shift(1))
    wide = np.pad(PICTURE, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for before, after in zip(wide, moved, strict=True):
        places = [before[i : i + 8, j : j + 10] for i in range(3) for j in range(3)]
        assert sum(np.array_equal(after, place) for place in places) == 1
    for before, after in zip(PICTURE, changed(PICTURE, views.Flip()), strict=True):
        assert np.array_equal(after, before) or np.array_equal(after, before[:, ::-1])
    gone = changed(SERIES, views.Erase(0.25, 0.25)) == 0
    assert np.all(gone[..., 0] == gone[..., 1]) and set(gone[..., 0].sum(axis=1)) == {3}
    ramp = np.broadcast_to(np.linspace(-1, 1, 16, dtype=np.float32)[:, None, None], (6, 16, 16, 1))
    cut = changed(ramp, views.Crop(0.25, 0.25, 1.0))[:, 1:-1]  # a quarter of a slope rises half as fast
    np.testing.assert_allclose(np.diff(cut, axis=1), (ramp[0, 1, 0, 0] - ramp[0, 0, 0, 0]) / 2, atol=1e-5)


def test_what_cannot_be_changed_is_told():
    with pytest.raises(
        UserError, match=r"a picture b h w c or a film b t h w c is wanted; this signal is of shape \(6, 12"
    ):
        changed(SERIES, views.Flip())
    with pytest.raises(UserError, match=r"least=0\.5 <= most=0\.4"):
        views.Crop(0.5, 0.4)
    with pytest.raises(UserError, match="count=0 must be 1 or more"):
        views.Several({}, count=0)
    packed = Signal(SERIES, np.ones((6, 12), bool), segments=np.ones((6, 12), np.int32))
    with pytest.raises(UserError, match="views of 'x' are of one example a row; these rows are packed"):
        views.Several({"x": ()})(Batch({"x": packed}, {}), said=None, key=KEY)


def test_views_lie_one_below_the_other():
    batch = Batch({"x": Signal(SERIES, np.ones((6, 12), bool))}, {"y": Signal(np.arange(6), np.arange(6) < 4)})
    found = views.Several({"x": (views.Noise(),)}, count=3)(batch, said=None, key=KEY)
    np.testing.assert_array_equal(found.targets["y"].values, [*range(6)] * 3)
    cut = np.asarray(found.inputs["x"].values).reshape(3, 6, 12, 2)
    assert np.abs(cut.mean(axis=0) - SERIES).max() < 0.4 and np.any(cut[0] != cut[1])


VIEWS = 3
TOKENS = RNG.normal(size=(VIEWS, 5, 2, 4)).astype(np.float32)  # of each view 5 rows of two modalities
MASK = RNG.random((VIEWS, 5, 2)) < 0.8
NAMES = ("hearing", "sight")
GOALS = [objectives.SimCLR(), objectives.VICReg(), objectives.BarlowTwins(), objectives.Contrastive()]


def outputs(values, mask, names):
    """One vector a modality ``b m d``."""
    streams = {name: Tokens(values[:, i : i + 1], mask[:, i : i + 1]) for i, name in enumerate(names)}
    scale = {"scale": jnp.full((len(values), 2), jnp.asarray([5.0, 0.0]))}
    inputs = {name: Signal(part.values, part.mask) for name, part in streams.items()}
    return Outputs(streams, Tokens(values, mask), scale), Batch(inputs, {})


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: type(goal).__name__)
def test_between_views_is_as_between_modalities(goal):
    with jax.enable_x64(True):
        tokens = jnp.asarray(TOKENS, jnp.float64)
        values, mask = tokens.reshape(-1, 2, 4), jnp.asarray(MASK.reshape(-1, 2))
        below = outputs(values, mask, NAMES)

        def modality(i, tokens):
            return goal(*outputs(tokens[:, :, i].swapaxes(0, 1), jnp.asarray(MASK[:, :, i].T), ("a", "b", "c")))

        apart = [modality(i, tokens) for i in range(2)]
        both, found = apart[0] + apart[1], objectives.Between(goal, views=VIEWS)(*below)
        np.testing.assert_allclose([found.total, found.count], [both.total, both.count], rtol=1e-6)
        slope = jax.jit(jax.grad(lambda v: objectives.Between(goal, views=VIEWS)(*outputs(v, mask, NAMES)).total))
        wanted = jax.jit(jax.grad(lambda tokens: (modality(0, tokens) + modality(1, tokens)).total))
        np.testing.assert_allclose(slope(values), wanted(tokens).reshape(-1, 2, 4), rtol=1e-6, atol=1e-9)
        one = objectives.Between(goal, views=VIEWS, streams=("sight",))(*below)
        np.testing.assert_allclose(one.value(), apart[1].value(), rtol=1e-6)
    assert objectives.Between(goal).whole and objectives.Between(goal).compares == getattr(goal, "compares", False)


def test_what_has_no_views_is_told():
    given = outputs(jnp.asarray(TOKENS[0]), jnp.asarray(MASK[0]), NAMES)
    with pytest.raises(UserError, match=r"5 rows are not 2 views of each; set views\.Several"):
        objectives.Between(objectives.SimCLR())(*given)
    with pytest.raises(UserError, match="the model has no modality 'smell'; it has hearing, sight"):
        objectives.Between(objectives.SimCLR(), streams=("smell",))(*given)
