"""Rows of a table to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError

KEY = jax.random.key(0)


def rows(*cells):
    return Signal(jnp.asarray(cells, jnp.float32), jnp.ones((len(cells), len(cells[0])), bool))


def test_each_column_has_its_own_token():
    module = encoders.Table((3, 0, 3), width=8, depth=0)
    signal = rows((1, 0.5, 1), (1, 0.5, 2), (1, 2.5, 1))
    variables = jax.jit(lambda: module.init(KEY, signal, train=False))()
    out = np.asarray(jax.jit(lambda: module.apply(variables, signal, train=False).values)())
    changed = np.abs(out[1:] - out[0]).max(-1) > 1e-3
    np.testing.assert_array_equal(changed, [[False, False, True], [False, True, False]])
    assert np.abs(out[0, 0] - out[0, 2]).max() > 1e-3  # one code, two columns
    assert variables["params"]["embed"]["embedding"].shape == (6, 8)
    assert variables["params"]["scale"].shape == (1, 8)


@pytest.mark.parametrize("cardinalities", [(0, 0), (2, 2)])
def test_all_numbers_or_all_categories(cardinalities):
    module = encoders.Table(cardinalities, width=8, depth=1, heads=2)
    shapes = jax.eval_shape(lambda: module.init(KEY, rows((1.0, 0.0)), train=False))["params"]
    assert ("scale" in shapes, "embed" in shapes) == (cardinalities[0] == 0, cardinalities[0] > 0)


def test_every_column_has_to_be_told():
    with pytest.raises(UserError, match="2 columns, cardinalities has 3"):
        jax.eval_shape(lambda: encoders.Table((0, 0, 2)).init(KEY, rows((1.0, 2.0)), train=False))
