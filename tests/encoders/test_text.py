"""Texts to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError

KEY = jax.random.key(0)


@pytest.mark.parametrize("length", [0, 6])
def test_order_matters_and_positions_may_be_given(length):
    module = encoders.Text(7, positions="learned" if length else "sinusoidal", length=length, width=8, depth=1, heads=2)
    ids = jnp.asarray([[1, 2, 3], [3, 2, 1]], jnp.int32)
    plain = Signal(ids, jnp.ones((2, 3), bool))
    variables = jax.jit(lambda: module.init(KEY, plain, train=False))()
    run = jax.jit(lambda signal: module.apply(variables, signal, train=False).values)
    turned = run(plain)[1, ::-1]
    assert np.abs(run(plain)[0] - turned).max() > 1e-3
    placed = plain.replace(positions=jnp.asarray([[0, 1, 2], [2, 1, 0]], jnp.int32))
    np.testing.assert_allclose(run(placed)[1, ::-1], run(placed)[0], atol=1e-5)


def test_learned_positions_want_a_length():
    words = Signal(jnp.zeros((1, 3), jnp.int32), jnp.ones((1, 3), bool))
    with pytest.raises(UserError, match="positions='learned' needs length="):
        jax.eval_shape(lambda: encoders.Text(7, positions="learned").init(KEY, words, train=False))
