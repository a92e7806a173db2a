"""Attention and the transformer block against plain float64 numpy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import UserError

RNG = np.random.default_rng(0)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def attention(params, values, context, allowed):
    """values q d, context n e, allowed q n."""

    def split(name, x):
        return np.einsum("nd,dkh->knh", x, params[name]["kernel"]) + params[name].get("bias", np.zeros((1, 1)))[:, None]

    query, key, value = split("query", values), split("key", context), split("value", context)
    scores = np.where(allowed, query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1]), -np.inf)
    return np.einsum("kqh,khd->qd", softmax(scores) @ value, params["out"]["kernel"]) + params["out"]["bias"]


def norm(params, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * params["scale"] + params["bias"]


def dense(params, x):
    return x @ params["kernel"] + params["bias"]


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def randomised(params):
    """Float64 parameters none of which is at a special value such as a bias of 0."""
    return jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape) * 0.5, params)


def single(params):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)


@pytest.mark.parametrize("key_bias", [False, True])
def test_attention_equals_a_float64_reference(key_bias):
    values, context = RNG.normal(size=(2, 3, 8)), RNG.normal(size=(2, 5, 6))
    allowed = RNG.random((2, 1, 3, 5)) < 0.6
    allowed[..., 0] = True
    module = nn.Attention(4, key_bias=key_bias)
    call = {"allowed": jnp.asarray(allowed)}
    arrays = single((values, context))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *arrays, **call))["params"]
    assert ("bias" in shapes["key"]) == key_bias
    params = randomised(shapes)
    out = jax.jit(module.apply)({"params": single(params)}, *arrays, **call)
    for row in range(2):
        np.testing.assert_allclose(out[row], attention(params, values[row], context[row], allowed[row, 0]), atol=1e-4)


def test_block_equals_a_float64_reference():
    values, allowed = RNG.normal(size=(1, 4, 8)), np.tril(np.ones((1, 1, 4, 4), bool))
    module = nn.Block(2, mlp=3.0)
    arrays = single(values), jnp.asarray(allowed)
    params = randomised(jax.eval_shape(lambda: module.init(jax.random.key(0), *arrays, train=False))["params"])
    out = jax.jit(lambda params: module.apply({"params": params}, *arrays, train=False))(single(params))
    normed = norm(params["attention_norm"], values[0])
    middle = values[0] + attention(params["attention"], normed, normed, allowed[0, 0])
    hidden = gelu(dense(params["mlp"]["up"], norm(params["mlp_norm"], middle)))
    assert hidden.shape == (4, 24)
    np.testing.assert_allclose(out[0], middle + dense(params["mlp"]["down"], hidden), atol=1e-4)


def test_norms_may_come_last():
    values = RNG.normal(size=(1, 4, 8))
    module = nn.Block(2, mlp=3.0, norm_first=False)
    params = randomised(
        jax.eval_shape(lambda: module.init(jax.random.key(0), single(values), None, train=False))["params"]
    )
    out = jax.jit(lambda params: module.apply({"params": params}, single(values), None, train=False))(single(params))
    everyone = np.ones((4, 4), bool)
    middle = norm(params["attention_norm"], values[0] + attention(params["attention"], values[0], values[0], everyone))
    hidden = gelu(dense(params["mlp"]["up"], middle))
    np.testing.assert_allclose(
        out[0], norm(params["mlp_norm"], middle + dense(params["mlp"]["down"], hidden)), atol=1e-4
    )


@pytest.mark.parametrize("kind", [{"rotary": True}, {"relative": 8}])
def test_attention_may_know_positions(kind):
    values = jnp.asarray(RNG.normal(size=(1, 5, 8)), jnp.float32)
    module = nn.Attention(2, **kind)
    params = single(randomised(jax.eval_shape(lambda: module.init(jax.random.key(0), values))["params"]))
    run = jax.jit(lambda positions: module.apply({"params": params}, values, positions=positions))
    np.testing.assert_allclose(run(jnp.arange(5)[None]), run(jnp.arange(40, 45)[None]), atol=1e-4)
    assert np.abs(run(jnp.arange(5)[None]) - run(jnp.asarray([[0, 1, 2, 4, 3]]))).max() > 1e-3
    np.testing.assert_allclose(jax.jit(module.apply)({"params": params}, values), run(jnp.arange(5)[None]), atol=1e-5)
    with pytest.raises(UserError, match="look at themselves"):
        module.apply({"params": params}, values, values)


@pytest.mark.parametrize(("causal", "band"), [(True, 0), (True, 2), (False, 2), (True, 1)])
def test_attention_may_look_back_alone_and_near_alone(causal, band):
    values, allowed = RNG.normal(size=(1, 6, 8)), RNG.random((1, 1, 6, 6)) < 0.7
    allowed |= np.eye(6, dtype=bool)
    module = nn.Attention(4, kv_heads=2, head_size=3, causal=causal, band=band)
    call = {"allowed": jnp.asarray(allowed)}
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), single(values), **call))["params"]
    assert shapes["query"]["kernel"].shape == (8, 4, 3)
    assert shapes["key"]["kernel"].shape == shapes["value"]["kernel"].shape == (8, 2, 3)
    params = randomised(shapes)
    out = jax.jit(module.apply)({"params": single(params)}, single(values), **call)
    for name in ("key", "value"):  # each group of two heads shares one
        params[name] = {kind: np.repeat(leaf, 2, axis=-2) for kind, leaf in params[name].items()}
    away = np.arange(6)[:, None] - np.arange(6)
    seen = ((away >= 0) | (not causal)) & ((np.abs(away) < band) | (not band))
    np.testing.assert_allclose(out[0], attention(params, values[0], values[0], allowed[0, 0] & seen), atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": 3}, "heads=3 does not divide width=8"),
        ({"heads": 4, "kv_heads": 3}, "kv_heads=3 does not divide heads=4"),
        ({"heads": 4, "band": -1}, "band=-1"),
    ],
)
def test_sizes_of_attention_have_to_fit(fields, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(lambda: nn.Attention(**fields).init(jax.random.key(0), jnp.zeros((1, 2, 8))))


def test_looking_back_is_not_for_a_context():
    values = jnp.zeros((1, 2, 8))
    with pytest.raises(UserError, match="causal and band"):
        jax.eval_shape(lambda: nn.Attention(2, causal=True).init(jax.random.key(0), values, values))


def test_softmax_is_in_float32_under_bfloat16():
    jaxpr = str(
        jax.make_jaxpr(lambda x: nn.Attention(1, dtype="bfloat16").init_with_output(jax.random.key(0), x)[0])(
            jnp.zeros((1, 3, 8), jnp.bfloat16)
        )
    )
    exponents = [line for line in jaxpr.splitlines() if "= exp " in line]
    assert exponents
    assert all("f32[" in line and "bf16[" not in line for line in exponents)


def test_dropout_and_dropped_paths_act_in_training_alone():
    values = jnp.asarray(RNG.normal(size=(64, 2, 8)), jnp.float32)
    bare, module = nn.Block(2), nn.Block(2, drop_path=0.5)
    variables = jax.jit(lambda: bare.init(jax.random.key(0), values, None, train=False))()

    @jax.jit
    def trained(key):
        return module.apply(variables, values, None, train=True, rngs={"dropout": key})

    out = trained(jax.random.key(1))
    untouched = float(jnp.mean(jnp.all(out == values, axis=(1, 2))))
    assert 0.1 < untouched < 0.4  # both branches are left out of a quarter of the rows
    assert np.array_equal(out, trained(jax.random.key(1)))
    assert not np.array_equal(out, trained(jax.random.key(2)))
    kept = jax.jit(lambda: module.apply(variables, values, None, train=False))()
    np.testing.assert_array_equal(kept, jax.jit(lambda: bare.apply(variables, values, None, train=True))())
