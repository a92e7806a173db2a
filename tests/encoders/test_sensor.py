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


def test_convolutions_have_to_divide_the_patch():
    signal = Signal(jnp.zeros((1, 8, 2)), jnp.ones((1, 8), bool))
    with pytest.raises(UserError, match="patch=5 is not a multiple of 2"):
        jax.eval_shape(lambda: encoders.Sensor(patch=5, convolutions=1).init(KEY, signal, train=False))


def test_packed_series_take_no_convolutions():
    ones = jnp.ones((1, 8), jnp.int32)
    signal = Signal(jnp.zeros((1, 8, 2)), jnp.ones((1, 8), bool), segments=ones)
    with pytest.raises(UserError, match="convolutions=0"):
        jax.eval_shape(lambda: encoders.Sensor(patch=4, convolutions=1).init(KEY, signal, train=False))
