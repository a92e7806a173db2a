"""Towers give vectors of length 1; a temperature is learned, and held."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import fusion, heads
from mmjax.core import Tokens, UserError

MASK = jnp.arange(4)[None] < jnp.asarray([4, 2])[:, None]
STREAMS = {"a": Tokens(jax.random.normal(jax.random.key(0), (2, 4, 3)), MASK)}


@pytest.mark.parametrize("pool", ["mean", "first", "last", "attention"])
def test_vectors_have_length_one_and_are_pooled_as_told(pool):
    tower = fusion.Towers(width=5, pool={"a": pool}, heads=1)
    found, variables = tower.init_with_output(jax.random.key(1), STREAMS, train=False)
    np.testing.assert_allclose(jnp.linalg.norm(found.values, axis=-1), 1, rtol=1e-6)
    values = STREAMS["a"].values
    ends = {"mean": jnp.stack([values[0].mean(0), values[1, :2].mean(0)]), "first": values[:, 0],
            "last": jnp.stack([values[0, 3], values[1, 1]])}  # fmt: skip
    if pool in ends:
        wanted = ends[pool] @ variables["params"]["project_a"]["kernel"]
        wanted /= jnp.linalg.norm(wanted, axis=-1, keepdims=True)
        np.testing.assert_allclose(found.values[:, 0], wanted, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_pooled_is_said():
    for pool, message in (({"b": "mean"}, "stream 'b'; there are a"), ({"a": "middle"}, "no way to pool")):
        with pytest.raises(UserError, match=message):
            fusion.Towers(pool=pool).init(jax.random.key(0), STREAMS, train=False)


def test_the_scale_is_held_and_comes_back():
    head = heads.Temperature(start=120.0, largest=100.0)
    variables = head.init(jax.random.key(0), STREAMS["a"], train=False)

    def scale(params, sign):
        return sign * jnp.sum(head.apply({"params": params}, STREAMS["a"], train=True)[0, 0])

    np.testing.assert_allclose(scale(variables["params"], 1), 100, rtol=1e-6)
    assert jax.grad(scale)(variables["params"], -1)["log_scale"] == 0  # to grow is in vain
    assert jax.grad(scale)(variables["params"], 1)["log_scale"] > 0
