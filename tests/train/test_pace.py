"""Rates by path and by layer: a step is the usual one, by the factor that each parameter has."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from mmjax import encoders
from mmjax.core import Signal, UserError, trees
from mmjax.train import Adafactor, Adam, AdamW, Constant, Lion, Mesh, Muon, Optim, Sgd, pace, sharding, state
from mmjax.train.prepare import prepare

RULES = {
    "adam": Adam(),
    "adamw": AdamW(decay=0.3),
    "bfloat16": AdamW(moments="bfloat16"),
    "int8": AdamW(moments="int8"),
    "sgd": Sgd(momentum=0.9, decay=0.1),
    "adafactor": Adafactor(momentum=0.9, factored=4),
    "lion": Lion(),
    "muon": Muon(),
}
SHAPES = {
    "encoders_a/embed/kernel": (4, 6),
    **{f"encoders_a/trunk/block_{i}/mlp/kernel": (6, 6) for i in range(3)},
    "encoders_a/trunk/norm/scale": (6,),
    "encoders_b/front/kernel": (2, 6),
    "encoders_b/trunk/blocks/mlp/kernel": (2, 6, 6),
    "encoders_b/trunk/blocks/mlp/bias": (2, 6),
    "decoder/embed/embedding": (5, 6),
    "decoder/trunk/block_0/kernel": (6, 6),
    "decoder/word_kernel": (6, 5),
    "fusion/project/kernel": (6, 6),
}


def tree(seed):
    rng, made = np.random.default_rng(seed), {}
    for path, shape in SHAPES.items():
        *parents, name = path.split("/")
        place = made
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = jnp.asarray(rng.normal(size=shape), jnp.float32)
    return made


def expected(path, decay):
    """BEiT's rule, worked out by hand."""
    return {
        "encoders_a/embed/kernel": decay**4,
        "encoders_a/trunk/block_0/mlp/kernel": decay**3,
        "encoders_a/trunk/block_1/mlp/kernel": decay**2,
        "encoders_a/trunk/block_2/mlp/kernel": decay,
        "encoders_b/front/kernel": decay**3,
        "encoders_b/trunk/blocks/mlp/kernel": np.array([decay**2, decay]).reshape(2, 1, 1),
        "encoders_b/trunk/blocks/mlp/bias": np.array([decay**2, decay]).reshape(2, 1),
        "decoder/embed/embedding": decay**2,
        "decoder/trunk/block_0/kernel": decay,
    }.get(path, 1.0)


@pytest.mark.parametrize("rule", RULES)
def test_each_layer_takes_the_usual_step_by_its_factor(rule):
    usual = Optim(lr=0.1, rule=RULES[rule], clip=1.0)
    slower = dataclasses.replace(usual, rates={"^encoders_b/": 0.5, "kernel$": 0.1}, layer_decay=0.75)
    params, grads, found = tree(0), tree(1), []
    for optim in (usual, slower):
        optim.check(params)
        optimizer = optim.build(10)
        updates, _ = optimizer.update(grads, optimizer.init(params), params)
        found.append(trees.flatten(updates))
    for path in SHAPES:
        factor = expected(path, 0.75) * (0.5 if path.startswith("encoders_b/") else 1)
        factor = factor * (0.1 if path.endswith("kernel") else 1)
        np.testing.assert_allclose(found[1][path], found[0][path] * factor, rtol=1e-5, err_msg=path)


def test_a_bare_decoder_is_a_tower_of_its_own():
    params = {"embed": {"embedding": jnp.ones(3)}, "trunk": {"block_0": {"k": jnp.ones(3)}}, "word_kernel": jnp.ones(3)}
    found = trees.flatten(pace.factors({}, 0.5, params))
    assert found == {"embed/embedding": 0.25, "trunk/block_0/k": 0.5, "word_kernel": 1.0}


def test_stacked_layers_of_an_encoder_have_a_factor_each_under_jit_vmap_and_on_a_mesh():
    encoder = encoders.Image(width=16, depth=3, heads=2, patch=4, scan=True)
    picture = Signal(jnp.zeros((1, 8, 8, 1)), jnp.ones((1,), bool))
    shapes = jax.eval_shape(lambda key: encoder.init(key, picture, train=False), jax.random.key(0))["params"]
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)
    optim = Optim(lr=1.0, rule=Sgd(momentum=0.0), schedule=Constant(), clip=0.0, layer_decay=0.5)
    optim.check(params)
    optimizer = optim.build(4)

    def step(grads):
        return optimizer.update(grads, optimizer.init(params), params)[0]

    found = trees.flatten(jax.jit(step)(params))
    kernel = found["trunk/blocks/mlp/up/kernel"]
    for layer, factor in enumerate((0.125, 0.25, 0.5)):
        np.testing.assert_array_equal(kernel[layer], np.full(kernel.shape[1:], -factor, np.float32))
    np.testing.assert_array_equal(found["embed/kernel"], np.full(found["embed/kernel"].shape, -0.0625, np.float32))
    np.testing.assert_array_equal(found["trunk/norm/scale"], -np.ones(16, np.float32))
    two = jax.vmap(step)(jax.tree.map(lambda x: jnp.stack([x, x]), params))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[1]), step(params), two)
    settings = Mesh(data=1, fsdp=2, fsdp_size=1)
    mesh = settings.build(jax.devices()[:2])
    places = jax.tree.map(lambda spec: NamedSharding(mesh, spec), sharding.specs(params, mesh, settings))
    split = jax.jit(step, in_shardings=(places,))(jax.device_put(params, places))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, jax.device_get(y)), step(params), split)


def test_mistakes_are_named_before_the_first_step(tiny):
    for optim, said in (
        ({"rates": {"^encoder/": 0.1}}, r"optim\.rates: '\^encoder/' is found in no parameter's path"),
        ({"rates": {"[": 0.1}}, r"optim\.rates: '\[' is no regular expression"),
        ({"rates": {"kernel": 0.0}}, r"optim\.rates: 'kernel' has 0\.0; it must be above 0"),
        ({"layer_decay": 1.5}, r"optim\.layer_decay=1\.5 must be above 0 and at most 1"),
    ):
        with pytest.raises(UserError, match=said):
            prepare(tiny(optim=optim))
    with pytest.raises(UserError, match="no trunk with layers"):
        Optim(layer_decay=0.5).check({"heads_label": {"kernel": jnp.ones((2, 2))}})


def test_off_changes_nothing():
    """The chain is the one without: its state has no part more."""
    params = tree(0)
    one = Optim().build(3).init(params)
    assert len(one) == 2
    assert state.averaged(params, one) is params
