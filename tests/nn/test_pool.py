"""Many tokens to one, whatever stands in the masked ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError

MASK = np.array([[True, True, False], [False, True, True], [False, False, False]])
VALUES = np.where(MASK[..., None], np.random.default_rng(0).normal(size=(3, 3, 4)), np.nan).astype(np.float32)


def test_mean_and_first_look_at_real_tokens_alone():
    mean = nn.pool.mean(jnp.asarray(VALUES), jnp.asarray(MASK))
    first = nn.pool.first(jnp.asarray(VALUES), jnp.asarray(MASK))
    np.testing.assert_allclose(mean[:2], np.nanmean(VALUES[:2], axis=1), rtol=1e-6)
    np.testing.assert_array_equal(first[:2], VALUES[[0, 1], [0, 1]])
    assert not np.any(mean[2])
    assert not np.any(first[2])


def test_deviation_is_that_of_real_tokens_and_has_a_finite_gradient():
    found = nn.pool.deviation(jnp.asarray(VALUES), jnp.asarray(MASK))
    np.testing.assert_allclose(found[:2], np.sqrt(np.nanvar(VALUES[:2], axis=1) + 1e-5), rtol=1e-5)
    alike = jax.grad(lambda values: nn.pool.deviation(values, jnp.asarray(MASK)).sum())(jnp.ones((3, 3, 4)))
    assert np.all(np.isfinite(alike))


def test_mean_of_many_bfloat16_tokens_is_summed_in_float32():
    values = jnp.ones((1, 4_096, 1), jnp.bfloat16)
    mean = nn.pool.mean(values, jnp.ones((1, 4_096), bool))
    assert mean.dtype == jnp.bfloat16
    assert float(mean[0, 0]) == 1.0


def test_means_of_segments():
    segments = jnp.asarray([[1, 1, 0], [0, 3, 1], [0, 0, 0]], jnp.int32)
    tokens = Tokens(jnp.asarray(VALUES), jnp.asarray(MASK), segments)
    pooled = nn.pool.means(tokens, segments=3)
    np.testing.assert_array_equal(pooled.segments, [[1, 0, 0], [1, 0, 3], [0, 0, 0]])
    np.testing.assert_array_equal(pooled.mask, pooled.segments > 0)
    np.testing.assert_allclose(pooled.values[0, 0], VALUES[0, :2].mean(0), rtol=1e-6)
    np.testing.assert_allclose(pooled.values[1, [0, 2]], VALUES[1, [2, 1]], rtol=1e-6)
    assert not np.any(np.asarray(pooled.values)[~np.asarray(pooled.mask)])
    with pytest.raises(UserError, match="packed"):
        nn.pool.means(tokens)


def test_attention_pool_ignores_masked_tokens_and_absent_rows():
    module = nn.pool.AttentionPool(2)
    variables = jax.jit(lambda: module.init(jax.random.key(0), jnp.asarray(VALUES), jnp.asarray(MASK)))()
    run = jax.jit(lambda values, mask: module.apply(variables, values, mask))
    pooled = run(jnp.asarray(VALUES), jnp.asarray(MASK))
    assert np.all(np.isfinite(pooled))
    assert not np.any(pooled[2])
    swapped = run(jnp.asarray(VALUES[:, ::-1]), jnp.asarray(MASK[:, ::-1]))
    np.testing.assert_allclose(swapped, pooled, rtol=1e-5, atol=1e-6)
