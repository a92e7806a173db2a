"""Series of measurements to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError

KEY = jax.random.key(0)


def test_a_series_is_the_same_however_far_it_is_padded():
    values = np.random.default_rng(0).normal(size=(1, 30, 2)).astype(np.float32)
    module = encoders.Sensor(width=8, depth=1, heads=2, patch=4, convolutions=2, channels=8)
    run, variables, outs = jax.jit(module.apply, static_argnames="train"), None, []
    for length in (13, 30):
        signal = Signal(jnp.asarray(values[:, :length]), jnp.arange(length)[None] < 13)
        variables = variables or jax.jit(module.init, static_argnames="train")(KEY, signal, train=False)
        out = run(variables, signal, train=False)
        assert out.values.shape[1] == module.tokens(length)
        outs.append(np.asarray(out.values)[np.asarray(out.mask)])
    assert len(outs[0]) == 4
    np.testing.assert_allclose(*outs, rtol=1e-4, atol=1e-4)


def test_overlapping_patches_begin_at_every_stride_and_padding_adds_none():
    values = np.random.default_rng(0).normal(size=(1, 30, 2)).astype(np.float32)
    module = encoders.Sensor(width=8, depth=1, heads=2, patch=6, stride=4, standardise=True)
    run, variables, outs = jax.jit(module.apply, static_argnames="train"), None, []
    for length in (13, 30):
        signal = Signal(jnp.asarray(values[:, :length]), jnp.arange(length)[None] < 13)
        variables = variables or jax.jit(module.init, static_argnames="train")(KEY, signal, train=False)
        out = run(variables, signal, train=False)
        assert out.values.shape[1] == module.tokens(length)
        outs.append(np.asarray(out.values)[np.asarray(out.mask)])
    np.testing.assert_allclose(*outs, rtol=1e-4, atol=1e-4)
    louder = run(variables, Signal(jnp.asarray(values * 7 - 2), jnp.ones((1, 30), bool)), train=False)
    np.testing.assert_allclose(
        louder.values,
        run(variables, Signal(jnp.asarray(values), jnp.ones((1, 30), bool)), train=False).values,
        atol=1e-3,
    )


def test_independent_channels_never_meet_and_pack():
    values = np.random.default_rng(0).normal(size=(2, 8, 3)).astype(np.float32)
    module = encoders.Sensor(width=8, depth=1, heads=2, patch=2, independent=True)
    signal = Signal(jnp.asarray(values), jnp.ones((2, 8), bool))
    variables = jax.jit(lambda: module.init(KEY, signal, train=False))()
    run = jax.jit(lambda signal: module.apply(variables, signal, train=False))
    values[:, :, 1] += 1
    changed = np.abs(run(signal.replace(values=jnp.asarray(values))).values - run(signal).values).max((0, 2)) > 1e-4
    np.testing.assert_array_equal(changed, np.repeat([False, True, False], 4))
    packed = Signal(
        signal.values.reshape(1, 16, 3), jnp.ones((1, 16), bool), jnp.repeat(jnp.asarray([[1, 2]]), 8, axis=1),
        jnp.tile(jnp.arange(8), 2)[None],
    )  # fmt: skip
    out = run(packed)
    assert out.segments.tolist() == [[1, 1, 1, 1, 2, 2, 2, 2] * 3]
    alone = run(signal).values.reshape(2, 3, 4, 8).swapaxes(0, 1).reshape(1, 24, 8)
    np.testing.assert_allclose(out.values, alone, atol=1e-4)


@pytest.mark.parametrize("fields", [{"stride": 2}, {"standardise": True}])
def test_packed_series_neither_overlap_nor_are_standardised(fields):
    signal = Signal(jnp.zeros((1, 8, 2)), jnp.ones((1, 8), bool), segments=jnp.ones((1, 8), jnp.int32))
    with pytest.raises(UserError, match="leave them out"):
        jax.eval_shape(lambda: encoders.Sensor(patch=4, **fields).init(KEY, signal, train=False))


def test_convolutions_have_to_divide_the_patch():
    signal = Signal(jnp.zeros((1, 8, 2)), jnp.ones((1, 8), bool))
    with pytest.raises(UserError, match="patch=5 is not a multiple of 2"):
        jax.eval_shape(lambda: encoders.Sensor(patch=5, convolutions=1).init(KEY, signal, train=False))


def test_packed_series_take_no_convolutions():
    ones = jnp.ones((1, 8), jnp.int32)
    signal = Signal(jnp.zeros((1, 8, 2)), jnp.ones((1, 8), bool), segments=ones)
    with pytest.raises(UserError, match="convolutions=0"):
        jax.eval_shape(lambda: encoders.Sensor(patch=4, convolutions=1).init(KEY, signal, train=False))
