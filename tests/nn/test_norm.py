"""Normalisation over places, of which only the real ones count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import UserError

RNG = np.random.default_rng(0)
VALUES = RNG.normal(3, 2, (4, 5, 3, 6)).astype(np.float32)
MASK = np.arange(5) < np.array([5, 2, 0, 4])[:, None]
SPOILT = jnp.asarray(np.where(MASK[..., None, None], VALUES, np.nan))


def test_batch_statistics_are_those_of_real_places():
    module = nn.BatchNorm(momentum=0.75)
    variables = jax.jit(lambda: module.init(jax.random.key(0), SPOILT, jnp.asarray(MASK), train=False))()
    run = jax.jit(lambda values, mask: module.apply(variables, values, mask, train=True, mutable=["batch_stats"]))
    out, new = run(SPOILT, jnp.asarray(MASK))
    real = VALUES[MASK].reshape(-1, 6).astype(np.float64)
    expected = (real - real.mean(0)) / np.sqrt(real.var(0) + 1e-5)
    np.testing.assert_allclose(np.asarray(out)[MASK].reshape(-1, 6), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.25 * real.mean(0), rtol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.75 + 0.25 * real.var(0, ddof=1), rtol=1e-5)
    assert np.all(np.isfinite(out))


def test_outside_of_training_the_running_statistics_are_used_and_stay():
    module = nn.BatchNorm()
    stats = {"mean": jnp.full(6, 3.0), "var": jnp.full(6, 4.0)}
    variables = {"params": {"scale": jnp.full(6, 2.0), "bias": jnp.ones(6)}, "batch_stats": stats}
    out, new = module.apply(variables, SPOILT, jnp.asarray(MASK), train=False, mutable=["batch_stats"])
    expected = (VALUES[MASK] - 3) / np.sqrt(4 + 1e-5) * 2 + 1
    np.testing.assert_allclose(np.asarray(out)[MASK], expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, new["batch_stats"], stats)


def test_one_place_alone_says_nothing_of_variance():
    module = nn.BatchNorm()
    mask = jnp.zeros((4, 5), bool).at[0, 0].set(True)
    variables = module.init(jax.random.key(0), SPOILT[:, :, 0], mask, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)  # making parameters is no training
    _, new = module.apply(variables, SPOILT[:, :, 0], mask, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.1 * VALUES[0, 0, 0], rtol=1e-5)
    np.testing.assert_array_equal(new["batch_stats"]["var"], 1)


def test_a_large_mean_does_not_drown_the_variance():
    values = jnp.asarray(RNG.normal(1_000, 0.1, (64, 4, 2)), jnp.float32)
    module = nn.BatchNorm()
    out, _ = module.init_with_output(jax.random.key(0), values, jnp.ones((64, 4), bool), train=True)
    np.testing.assert_allclose(np.std(out, axis=(0, 1)), 1, rtol=0.01)


def test_groups_are_normalised_by_their_own_real_places():
    module = nn.GroupNorm(groups=2)
    out, _ = module.init_with_output(jax.random.key(0), SPOILT, jnp.asarray(MASK), train=True)
    for row in (0, 1, 3):
        real = VALUES[row][MASK[row]].reshape(-1, 2, 3).astype(np.float64)
        moments = {"axis": (0, 2), "keepdims": True}
        expected = (real - real.mean(**moments)) / np.sqrt(real.var(**moments) + 1e-5)
        np.testing.assert_allclose(np.asarray(out)[row][MASK[row]].reshape(-1, 2, 3), expected, rtol=1e-4, atol=1e-5)
    assert np.all(np.isfinite(out))
    with pytest.raises(UserError, match="groups=4 does not divide 6 channels"):
        nn.GroupNorm(groups=4).init(jax.random.key(0), SPOILT, jnp.asarray(MASK), train=True)
