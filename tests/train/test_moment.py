"""Optimizers in little memory: what they keep, that it stays true over many steps, that they learn, that they split."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError, trees
from mmjax.train import Adafactor, AdamW, Constant, Lion, Mesh, Muon, Optim, moment, muon, sharding
from mmjax.train.state import TrainState

RULES = {
    "adafactor": (Adafactor(factored=16, momentum=0.9), 0.55),
    "lion": (Lion(moments="bfloat16"), 0.51),
    "muon": (Muon(), 1.1),
    "bfloat16": (AdamW(moments="bfloat16"), 1.01),
    "int8": (AdamW(moments="int8"), 0.6),
}
rules = pytest.mark.parametrize("name", RULES)

MODEL = nn.Trunk(depth=1, heads=2)
TOKENS = Tokens(jnp.asarray(np.random.default_rng(0).normal(size=(8, 4, 64)), jnp.float32), jnp.ones((8, 4), bool))
GOAL = jnp.roll(TOKENS.values, 1, axis=1)


def loss(params):
    return jnp.mean(jnp.square(MODEL.apply({"params": params}, TOKENS, train=False).values - GOAL))


@pytest.fixture(scope="module")
def params():
    return jax.jit(lambda: MODEL.init(jax.random.key(0), TOKENS, train=False)["params"])()


def optimizer_of(rule, lr=3e-3):
    lr = lr / 5 if isinstance(rule, Lion) else lr
    return Optim(lr=lr, rule=dataclasses.replace(rule, decay=0.0), schedule=Constant()).build(1_000)


def run(rule, params, steps, place=lambda tree: tree):
    optimizer = optimizer_of(rule)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return value, jax.tree.map(jnp.add, params, updates), state

    params, state = place((params, optimizer.init(params)))
    values = []
    for _ in range(steps):
        value, params, state = step(params, state)
        values.append(float(value))
    return np.asarray(values), state


@pytest.fixture(scope="module")
def alone(params):
    """Forty steps of a rule on one device, run once for all that ask."""
    return functools.cache(lambda rule: run(rule, params, 40))


@rules
def test_each_rule_learns_and_keeps_little(name, params, alone):
    rule, most = RULES[name]
    values, state = alone(rule)
    exact, _ = alone(AdamW())
    assert values[-1] < 0.7 * values[0]
    if isinstance(rule, AdamW):
        np.testing.assert_allclose(values, exact, rtol=0.05)
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert kept <= most * 4 * trees.count(params)


@rules
def test_each_rule_splits_over_devices_and_gives_the_same(name, params, alone):
    rule, settings = RULES[name][0], Mesh(data=2, fsdp=2, tensor=2, fsdp_size=64)
    mesh, optimizer = settings.build(), optimizer_of(rule)
    zero = jnp.zeros((), jnp.int32)
    shapes = TrainState(zero, params, {}, jax.eval_shape(optimizer.init, params), zero)
    where = sharding.state_shardings(shapes, optimizer, mesh, settings)
    place = lambda tree: jax.device_put(tree, (where.params, where.opt_state))  # noqa: E731
    spread, state = run(rule, params, 5, place)
    for path, leaf in trees.flatten(state).items():
        assert leaf.size < 4096 or not leaf.sharding.is_fully_replicated, path
    np.testing.assert_allclose(spread, alone(rule)[0][:5], rtol=1e-3)


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_kept_moment_decays_as_it_should(kind, signed):
    first = jnp.asarray(np.random.default_rng(0).normal(size=(32, 256)), jnp.float32)
    first = first if signed else jnp.square(first)
    decay = 0.999

    @jax.jit
    def after(steps):
        def body(i, kept):
            values = decay * moment.unpacked(*kept, signed=signed)
            return moment.packed(values, kind, i, signed=signed)

        start = moment.packed(first, kind, jnp.int32(0), signed=signed)
        return moment.unpacked(*jax.lax.fori_loop(1, steps + 1, body, start), signed=signed)

    np.testing.assert_allclose(jnp.sum(jnp.abs(after(700))), decay**700 * jnp.sum(jnp.abs(first)), rtol=0.02)
    large = jnp.abs(first) > 0.3
    np.testing.assert_allclose(after(0)[large], first[large], rtol=0.08)


def test_small_arrays_stay_exact():
    values = jnp.linspace(-1.0, 1.0, 100)
    kept, scale = moment.packed(values, "int8", jnp.int32(1), signed=True)
    assert kept.dtype == jnp.float32
    np.testing.assert_array_equal(moment.unpacked(kept, scale, signed=True), values)


def test_a_kind_that_is_not_there():
    with pytest.raises(UserError, match="moments is 'int4'; it can be float32, bfloat16 or int8"):
        Optim(rule=AdamW(moments="int4")).build(10)
    with pytest.raises(UserError, match="of Lion it can be float32 or bfloat16"):
        Optim(rule=Lion(moments="int8")).build(10)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (2, 6, 6)])
def test_orthogonal_matrices_have_singular_values_of_about_one(shape):
    found = muon.orthogonal(jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32))
    values = np.linalg.svd(np.asarray(found), compute_uv=False)
    assert np.all((values > 0.6) & (values < 1.3))


def test_muon_turns_each_layers_kernels_as_the_matrices_that_they_are(params):
    rng = np.random.default_rng(0)
    grads = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), params)
    scanned = {"blocks": jax.tree.map(lambda leaf: leaf[None], grads["block_0"]), "norm": grads["norm"]}
    optimizer = optimizer_of(Muon(), lr=1.0)

    @jax.jit
    def updates(grads):
        return optimizer.update(grads, optimizer.init(grads), grads)[0]

    one, other = updates(grads), updates(scanned)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-4, atol=1e-6), one["block_0"], other["blocks"]
    )
    for name, matrix in (("query", one["block_0"]["attention"]["query"]["kernel"].reshape(64, -1)),
                         ("out", one["block_0"]["attention"]["out"]["kernel"].reshape(-1, 64))):  # fmt: skip
        sizes = np.linalg.svd(np.asarray(matrix), compute_uv=False) / (0.2 * 64**0.5)
        assert np.all(sizes < 1.3), name
        assert np.median(sizes) > 0.6, name
