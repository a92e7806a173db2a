"""Attention's products and the GELU against what jax has: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import products
from mmjax.nn import dot, gelu

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("heads", "fields"),
    [(4, {}), (2, {"causal": True}), (1, {"causal": True, "reach": (1, 0)}), (4, {"reach": (1, 2)})],
)
@pytest.mark.parametrize("told", [False, True])
def test_equals_jaxs_own(heads, fields, told):
    query, weights = RNG.normal(size=(2, 2, 5, 4, 3)).astype(np.float32)
    key, value = RNG.normal(size=(2, 2, 5, heads, 3)).astype(np.float32)
    bias = jnp.asarray(RNG.normal(size=(1, 4, 5, 5)), jnp.float32) if told else None
    allowed = jnp.asarray(RNG.random((2, 1, 5, 5)) < 0.7) if told else None
    theirs = {"is_causal": fields.get("causal", False), "local_window_size": fields.get("reach")}

    def ours(*parts):
        return dot.attention(*parts, bias, allowed, **fields)

    def reference(*parts):
        return jax.nn.dot_product_attention(*parts, bias, allowed, **theirs)

    both = [jax.jit(lambda *p, f=f: (*jax.vjp(f, *p)[1](weights), f(*p)))(query, key, value) for f in (ours, reference)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *both)


@pytest.mark.parametrize("shape", [(1, 4, 5, 5), (2, 1, 5, 5), (1, 1, 1, 5), (2, 4, 1, 1), (1, 1, 1, 1)])
def test_the_bias_learns_as_in_jaxs_own(shape):
    query, key, value, weights = RNG.normal(size=(4, 2, 5, 4, 3)).astype(np.float32)
    bias, allowed = jnp.asarray(RNG.normal(size=shape), jnp.float32), jnp.asarray(RNG.random((2, 1, 5, 5)) < 0.7)

    def total(mixed):
        parts = (jnp.asarray(part) for part in (query, key, value))
        return jax.jit(jax.grad(lambda bias, *parts: jnp.sum(weights * mixed(*parts, bias, allowed))))(bias, *parts)

    np.testing.assert_allclose(total(dot.attention), total(jax.nn.dot_product_attention), rtol=1e-4, atol=1e-5)


def test_gradients_in_bfloat16_are_as_near_as_jaxs_own_where_values_have_an_offset():
    query, key, value, weights = RNG.normal(size=(4, 2, 32, 2, 16)) + np.reshape([0, 0, 20, 0], (4, 1, 1, 1, 1))

    def gradient(mixed, dtype):
        parts = (jnp.asarray(part, dtype) for part in (query, key, value))
        total = jax.grad(lambda q, k, v: jnp.sum(mixed(q, k, v).astype(jnp.float32) * weights), (0, 1))
        return np.concatenate([np.asarray(found, np.float32) for found in total(*parts)])

    exact = gradient(jax.nn.dot_product_attention, jnp.float32)
    ours, theirs = (
        np.linalg.norm(gradient(mixed, jnp.bfloat16) - exact) for mixed in (dot.attention, jax.nn.dot_product_attention)
    )
    assert ours <= theirs


def test_products_of_bfloat16_gradients_are_bfloat16():
    parts = [jax.ShapeDtypeStruct((1, 4, 2, 8), jnp.bfloat16)] * 3
    gradient = jax.grad(lambda *parts: jnp.sum(dot.attention(*parts).astype(jnp.float32)), (0, 1, 2))
    products = [e for e in jax.make_jaxpr(gradient)(*parts).jaxpr.eqns if e.primitive.name == "dot_general"]
    assert len(products) == 6
    for product in products:
        inputs = {variable.aval.dtype for variable in product.invars}
        named = product.params["precision"] == jax.lax.DotAlgorithmPreset.BF16_BF16_F32
        assert named or inputs == {jnp.dtype(jnp.bfloat16)}


def test_the_gradient_keeps_each_querys_shares_once():
    """And neither scores nor what they were before they were divided, in one pass or in a loop's stacked ones."""

    def layers(values):
        return jax.lax.scan(lambda own, _: (dot.attention(own, own, own), None), values, None, length=3)[0]

    values = jnp.ones((2, 32, 2, 4))
    for function, turns in ((lambda own: dot.attention(own, own, own), 1), (layers, 3)):
        kept = jax.jit(lambda own, function=function: jax.vjp(function, own)[1])
        sizes = [leaf.size for leaf in jax.tree.leaves(jax.eval_shape(kept, values))]
        assert sizes.count(turns * 2 * 2 * 32 * 32) == 1


def test_gelu_and_its_slope_are_exact():
    with jax.enable_x64(True):
        values = np.linspace(-6, 6, 101)
        exact = jax.vmap(jax.value_and_grad(lambda x: jax.nn.gelu(x, approximate=False)))(values)
        found = jax.vmap(jax.value_and_grad(gelu))(values)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), found, exact)
    assert gelu(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16


def test_the_gradient_of_gelu_keeps_what_came_in_alone():
    kept = jax.eval_shape(lambda values: jax.vjp(gelu, values)[1], jnp.ones(9))
    assert [leaf.shape for leaf in jax.tree.leaves(kept)] == [(9,)]


def test_products_of_heads_are_flat_where_they_are_made():
    """A policy that keeps what products gave would else keep heads padded to a TPU's 128 lanes."""
    given, kernel = jnp.arange(12.0).reshape(2, 2, 3), jnp.arange(24.0).reshape(3, 4, 2)
    axes = (((2,), (0,)), ((), ()))
    np.testing.assert_array_equal(products.flat(given, kernel, axes), jax.lax.dot_general(given, kernel, axes))
    layer, values = nn.Attention(heads=4), jnp.zeros((2, 3, 8))
    variables = layer.init(jax.random.key(0), values)
    found = jax.make_jaxpr(layer.apply)(variables, values).jaxpr.eqns
    made = [e.outvars[0].aval.shape for e in found if e.primitive.name == "dot_general"]
    assert made.count((2, 3, 8)) == 4  # queries, keys, values, and what goes out
