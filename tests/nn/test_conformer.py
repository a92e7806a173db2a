"""The conformer trunk: padding and masks, scanned layers, packed rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError, trees

VALUES = np.random.default_rng(0).normal(size=(2, 9, 8)).astype(np.float32)
MODULE = nn.Conformer(depth=2, heads=2, kernel=5, mlp=2.0)


def tokens(length, padding=0):
    values = np.concatenate([VALUES[:, :length], np.full((2, padding, 8), np.nan, np.float32)], axis=1)
    return Tokens(jnp.asarray(values), jnp.arange(length + padding)[None].repeat(2, 0) < length)


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(lambda: MODULE.init(jax.random.key(0), tokens(6), train=False))["params"]
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: jnp.asarray(0.4 * rng.normal(size=leaf.shape), jnp.float32), shapes)


def gradients(module, params, given):
    def loss(params):
        out = module.apply({"params": params}, given, train=False)
        return jnp.sum(out.values * jnp.cos(jnp.arange(out.values.shape[1]))[:, None]), out

    return jax.jit(jax.grad(loss, has_aux=True))(params)


def test_padding_changes_nothing_and_every_parameter_learns(params):
    learned, bare = gradients(MODULE, params, tokens(6))
    padded_learned, padded = gradients(MODULE, params, tokens(6, padding=3))
    np.testing.assert_allclose(padded.values[:, :6], bare.values, rtol=1e-4, atol=1e-5)
    assert not np.any(padded.values[:, 6:])
    for path, leaf in trees.flatten(learned).items():
        np.testing.assert_allclose(leaf, trees.flatten(padded_learned)[path], rtol=1e-3, atol=1e-4, err_msg=path)
        assert np.abs(leaf).max() > 1e-5, path


def test_scanned_and_recomputed_layers_are_the_same(params):
    stacked = {"blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), params["block_0"], params["block_1"])}
    learned, out = gradients(MODULE, params, tokens(6))
    other_learned, other = gradients(MODULE.clone(scan=True, remat="recompute"), stacked, tokens(6))
    np.testing.assert_allclose(other.values, out.values, rtol=1e-5, atol=1e-5)
    first = other_learned["blocks"]["near"]["depthwise"]["kernel"][0]
    np.testing.assert_allclose(first, learned["block_0"]["near"]["depthwise"]["kernel"], rtol=1e-4, atol=1e-5)


def test_parameters_number_what_paper_says(params):
    dense = lambda a, b: a * b + b  # noqa: E731
    halves = 2 * (dense(8, 16) + dense(16, 8))
    attention = 4 * 8 * 8 + 3 * 8 + 32 * 2
    near = dense(8, 16) + (5 * 8 + 8) + 2 * 8 + dense(8, 8)
    assert trees.count(params) == 2 * (halves + attention + near + 5 * 2 * 8)


def test_nothing_at_all_is_finite_and_no_layers_change_nothing(params):
    nobody = tokens(6).replace(mask=jnp.zeros((2, 6), bool), values=jnp.full((2, 6, 8), jnp.nan))
    for leaf in jax.tree.leaves(gradients(MODULE, params, nobody)):
        assert np.all(np.isfinite(leaf))
    out, variables = MODULE.clone(depth=0).init_with_output(jax.random.key(0), tokens(6), train=False)
    assert not variables
    np.testing.assert_array_equal(out.values, tokens(6).values)


def test_packed_rows_are_refused():
    packed = tokens(6).replace(segments=jnp.ones((2, 6), jnp.int32))
    with pytest.raises(UserError, match="mix packed"):
        MODULE.init(jax.random.key(0), packed, train=False)
