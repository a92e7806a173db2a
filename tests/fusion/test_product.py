"""Product forms against float64 numpy, and what an absent stream is to them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import fusion
from mmjax.core import Tokens, UserError

RNG = np.random.default_rng(0)
VALUES = {name: np.float64(np.float32(RNG.normal(size=(4, 3, d)))) for name, d in {"b": 4, "a": 5, "c": 3}.items()}
HERE = {"a": [1, 1, 1, 0], "b": [1, 1, 0, 0], "c": [1, 0, 0, 1]}
STREAMS = {
    name: Tokens(jnp.asarray(x, jnp.float32), jnp.broadcast_to(jnp.asarray(HERE[name], bool)[:, None], (4, 3)))
    for name, x in VALUES.items()
}
MEANS = {name: x.mean(1) for name, x in sorted(VALUES.items())}


def run(module):
    """What comes out, and random parameters in float64."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), STREAMS, train=False))["params"]
    params = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), shapes)
    out = jax.jit(lambda params: module.apply({"params": params}, STREAMS, train=False))(params)
    return np.asarray(out.values[:, 0]), jax.tree.map(np.float64, params)


def multiplied(parts, row):
    """The parts of the streams that a row has, multiplied."""
    return functools.reduce(np.multiply, [part[row] for name, part in parts.items() if HERE[name][row]])


def linear(layer, x):
    return np.tensordot(x, layer["kernel"], 1) + layer["bias"]


def test_tensor_is_one_layer_over_the_outer_product_with_ones_appended():
    found, params = run(fusion.Tensor(width=6, size=2))
    kernel = np.zeros((3, 3, 3, 6))  # by feature of a, b and c, the last of each being its 1
    kernel[2, 2, 2] = params["bias"]
    for chosen in itertools.chain(*(itertools.combinations("abc", size) for size in (1, 2, 3))):
        part = params["join_" + "+".join(chosen)]["kernel"].reshape(*[2] * len(chosen), 6)
        kernel[tuple(slice(2) if name in chosen else 2 for name in "abc")] = part
    for row in range(4):
        ends = [np.append(linear(params[f"project_{name}"], MEANS[name][row]) * HERE[name][row], 1.0) for name in "abc"]
        expected = np.einsum("i,j,k,ijkd->d", *ends, kernel)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)


def test_multiplicative_interactions_are_bilinear_in_every_pair():
    found, params = run(fusion.Multiplicative(width=6))
    for row in range(4):
        x = {name: MEANS[name][row] * HERE[name][row] for name in "abc"}
        expected = params["bias"] + sum(x[name] @ params[f"project_{name}"]["kernel"] for name in "abc")
        for one, other in itertools.combinations("abc", 2):
            kernel = params[f"join_{one}+{other}"]["kernel"].reshape(len(x[one]), len(x[other]), 6)
            expected += np.einsum("i,j,ijd->d", x[one], x[other], kernel)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)


def test_low_rank_is_tensor_fusion_with_a_kernel_of_outer_products():
    found, params = run(fusion.LowRank(width=6, rank=3))
    factors = {name: linear(params[f"factor_{name}"], x) for name, x in MEANS.items()}  # b r d
    for row in range(4):
        expected = (params["weight"] * multiplied(factors, row)).sum(0) + params["bias"]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)
    appended = {
        name: np.concatenate([params[f"factor_{name}"]["kernel"], params[f"factor_{name}"]["bias"][None]])
        for name in "abc"
    }
    kernel = np.einsum("r,ird,jrd,krd->ijkd", params["weight"][:, 0], *appended.values())
    ends = [np.append(x[0], 1.0) for x in MEANS.values()]
    whole = np.einsum("i,j,k,ijkd->d", *ends, kernel) + params["bias"]
    np.testing.assert_allclose(found[0], whole, rtol=1e-4, atol=1e-4)


def test_bilinear_pools_products_to_signed_roots_of_length_one():
    found, params = run(fusion.Bilinear(width=6, factors=3))
    parts = {name: linear(params[f"project_{name}"], x) for name, x in MEANS.items()}
    for row in range(4):
        pooled = multiplied(parts, row).sum(0)
        roots = np.sign(pooled) * np.sqrt(np.abs(pooled))
        np.testing.assert_allclose(found[row], roots / np.linalg.norm(roots), rtol=1e-3, atol=1e-3)


def test_tucker_multiplies_what_a_small_core_makes_of_each_stream():
    found, params = run(fusion.Tucker(width=6, size=4, rank=3))
    parts = {
        name: linear(params[f"core_{name}"], np.tanh(linear(params[f"project_{name}"], x))) for name, x in MEANS.items()
    }
    for row in range(4):
        np.testing.assert_allclose(found[row], multiplied(parts, row).sum(0), rtol=1e-4, atol=1e-4)


def test_small_factors_are_as_exact_in_half_precision():
    means = {name: Tokens(jnp.zeros((2, 1, 1)), jnp.asarray([[True], [name == "a"]])) for name in "ab"}
    small = jnp.full((2, 1, 4), 0.003, jnp.bfloat16)
    found = fusion.pooled.product({"a": small, "b": jnp.full_like(small, 0.5)}, means)
    np.testing.assert_array_equal(found, small * jnp.asarray([0.5, 1.0], jnp.bfloat16)[:, None, None])


def test_a_tensor_too_large_is_refused():
    with pytest.raises(UserError, match="of 3 streams has products of 125,000 entries; lower size, or use"):
        fusion.Tensor(size=50).init(jax.random.key(0), STREAMS, train=False)
