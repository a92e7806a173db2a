"""Norms over a token's own features: value and gradient in float64, what the gradient keeps, and half precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn

RNG = np.random.default_rng(0)
VALUES = RNG.normal(2, 3, (3, 4, 6))
PARAMS = {"scale": RNG.normal(1, 0.3, 6), "bias": RNG.normal(size=6)}
LAYERS = {
    "layer": (nn.LayerNorm(1e-5), PARAMS),
    "without bias": (nn.LayerNorm(1e-5, bias=False), {"scale": PARAMS["scale"]}),
    "bare": (nn.LayerNorm(1e-5, bias=False, scale=False), {}),
    "rms": (nn.RMSNorm(1e-5), {"scale": PARAMS["scale"]}),
}


def wanted(values, params, centred):
    off = values - values.mean(-1, keepdims=True) if centred else values
    return off / np.sqrt((off**2).mean(-1, keepdims=True) + 1e-5) * params.get("scale", 1) + params.get("bias", 0)


@pytest.mark.parametrize("name", LAYERS)
def test_value_and_gradient_are_the_formulas_in_float64(name):
    layer, params = LAYERS[name]
    weights = RNG.normal(size=VALUES.shape)

    def reference(values, params):
        return np.sum(weights * wanted(values, params, name != "rms"))

    def total(values, params):
        return jnp.sum(weights * layer.apply({"params": params}, values))

    with jax.enable_x64(True):
        found, slopes = jax.value_and_grad(total, argnums=(0, 1))(
            jnp.asarray(VALUES), jax.tree.map(jnp.asarray, params)
        )
        slopes = jax.tree.map(np.asarray, slopes)
    np.testing.assert_allclose(found, reference(VALUES, params), rtol=1e-12)
    for _ in range(3):
        way = jax.tree.map(lambda leaf: 1e-5 * RNG.normal(size=leaf.shape), (VALUES, params))
        ahead = reference(*jax.tree.map(np.add, (VALUES, params), way))
        behind = reference(*jax.tree.map(np.subtract, (VALUES, params), way))
        along = sum(jax.tree.leaves(jax.tree.map(lambda slope, by: np.sum(slope * by), slopes, way)))
        np.testing.assert_allclose(along, (ahead - behind) / 2, rtol=1e-6)


def test_the_gradient_keeps_the_input_and_two_numbers_a_token():
    layer, values = nn.LayerNorm(), jnp.asarray(VALUES, jnp.bfloat16)
    params = layer.init(jax.random.key(0), values)
    _, back = jax.eval_shape(lambda p, v: jax.vjp(layer.apply, p, v), params, values)
    kept = [leaf for leaf in jax.tree.leaves(back) if leaf.size >= 12]
    assert sorted((leaf.shape, leaf.dtype.name) for leaf in kept) == [
        ((3, 4, 1), "float32"),
        ((3, 4, 1), "float32"),
        ((3, 4, 6), "bfloat16"),
    ]


def test_in_half_precision_only_what_comes_out_is_rounded():
    values = jnp.asarray(1_000 + RNG.normal(size=(5, 64)), jnp.float32)
    layer = nn.LayerNorm(dtype="bfloat16")
    out, _ = layer.init_with_output(jax.random.key(0), values)
    exact = wanted(np.asarray(values, np.float64), {}, True)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(np.float32), exact, rtol=2**-8, atol=1e-3)
