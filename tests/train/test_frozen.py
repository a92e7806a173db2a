"""Parameters that are frozen stay as they are, cost nothing, and change nothing for the rest."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from mmjax import flops, nn
from mmjax.core import Batch, Mean, Outputs, Signal, Tokens, UserError, trees
from mmjax.train import Adafactor, AdamW, Lion, Lora, Mesh, Muon, Optim, Sgd, frozen, lora, make_step, sharding
from mmjax.train.prepare import prepare
from mmjax.train.state import make_init, weights

RULES = {
    "adamw": AdamW(),
    "int8": AdamW(moments="int8"),
    "sgd": Sgd(decay=0.1),
    "adafactor": Adafactor(momentum=0.9, factored=4),
    "lion": Lion(moments="bfloat16"),
    "muon": Muon(),
}


class Net(linen.Module):
    """A tower with a norm of its own, and a head."""

    width: int = 16

    @linen.compact
    def __call__(self, inputs, *, train):
        signal = inputs["x"]
        x = linen.Dense(self.width, name="tower")(signal.values)
        x = jnp.tanh(nn.BatchNorm(name="norm")(x, signal.mask, train=train))
        x = linen.Dense(self.width, name="second")(x)
        tokens = Tokens(x[:, None], jnp.ones((len(x), 1), bool))
        return Outputs(streams={}, fused=tokens, heads={"y": linen.Dense(1, name="head")(x)[:, 0]})


class Square:
    """A masked squared error, as an objective is."""

    weight = 1.0

    def __call__(self, outputs, batch):
        return Mean.of((outputs.heads["y"] - batch.targets["y"].values) ** 2, batch.targets["y"].mask)


def batch_of(rows=8):
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.normal(size=(rows, 4)), jnp.float32)
    there = jnp.ones(rows, bool)
    return Batch(inputs={"x": Signal(values, there)}, targets={"y": Signal(jnp.sin(values.sum(1)), there)})


def made(optim, adapted=None, **options):
    """The state at step 0, and the step."""
    optimizer, batch = optim.build(4), batch_of()
    state = make_init(Net(), optimizer, batch, adapted)(jax.random.key(0))
    optim.check(state.params)
    model = lora.over(Net(), adapted)
    return state, make_step(model, {"y": Square()}, optimizer, still=optim.frozen, **options)


@pytest.mark.parametrize("rule", RULES)
def test_what_is_frozen_stays_and_has_no_state(rule):
    optim = Optim(lr=0.1, rule=RULES[rule], frozen=("^(tower|norm)/",), average=0.9)
    state, step = made(optim)
    now, metrics = jax.jit(step)(state, batch_of())
    old, new = trees.flatten(state.params), trees.flatten(now.params)
    for path in ("tower/kernel", "tower/bias", "norm/scale"):
        np.testing.assert_array_equal(old[path], new[path])
    for path in ("second/kernel", "head/kernel", "head/bias"):
        assert not np.array_equal(old[path], new[path]), path
    assert float(metrics["grad_norm"]) > 0
    assert not [path for path in trees.flatten(state.opt_state) if "tower" in path or "norm" in path]
    said = weights(now)["params"]
    assert jax.tree.structure(said) == jax.tree.structure(now.params)
    np.testing.assert_array_equal(said["tower"]["kernel"], old["tower/kernel"])


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_rest_learns_as_it_would_with_all(pieces):
    """But for what clips them together, and for a norm, which goes by what it knows."""
    free = Optim(lr=0.1, clip=0.0)
    moved = []
    for optim in (free, dataclasses.replace(free, frozen=("^tower/",))):
        state, step = made(optim, accumulate=pieces)
        moved.append(jax.jit(step)(state, batch_of())[0].params)
    for part in ("norm", "second", "head"):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), moved[0][part], moved[1][part])


def test_gradients_of_frozen_parts_are_not_computed():
    """What utilisation is measured by: the head's gradient alone costs three times the head, and all else once."""
    rows, width = 8, 16
    tower, second, head = (2 * rows * n for n in (4 * width, width * width, width))
    for patterns, cost in (
        ((), 2 * tower + 3 * second + 3 * head),  # nothing asks for the gradient of what goes in
        (("^(tower|norm)/",), tower + 2 * second + 3 * head),
        (("^(?!head/)",), tower + second + 2 * head),
    ):
        state, step = made(Optim(frozen=patterns))
        assert flops.useful(step, state, batch_of()) == cost, patterns
        assert flops.count(step, state, batch_of()) == cost, patterns


def test_frozen_norms_keep_their_statistics_and_go_by_them():
    for patterns, kept in ((("^norm/",), True), (("^tower/",), False)):
        state, step = made(Optim(frozen=patterns))
        now, metrics = jax.jit(step)(state, batch_of())
        old, new = state.variables["batch_stats"]["norm"], now.variables["batch_stats"]["norm"]
        assert all(np.array_equal(old[name], new[name]) for name in ("mean", "var")) == kept
        out = Net().apply({"params": state.params, **state.variables}, batch_of().inputs, train=False)
        assert (abs(float(metrics["loss"] - Square()(out, batch_of()).value())) < 1e-6) == kept


def test_factors_of_low_rank_learn_beside_a_frozen_model():
    optim = Optim(frozen=("^(?!lora/)",))
    state, step = made(optim, Lora(rank=2, where=("second/kernel$",)))
    now, _ = jax.jit(step)(state, batch_of())
    old, new = trees.flatten(state.params), trees.flatten(now.params)
    moved = [path for path in old if not np.array_equal(old[path], new[path])]
    assert moved == ["lora/second/kernel/up"]  # "down" has a gradient once "up" is not 0
    assert len(trees.flatten(state.opt_state)) < 8


def test_seeds_side_by_side_and_a_mesh_keep_what_is_frozen():
    optim = Optim(frozen=("^(tower|norm)/",))
    state, step = made(optim)
    two = jax.tree.map(lambda x: jnp.stack([x, x]), (state, batch_of()))
    alone, both = jax.jit(step)(state, batch_of())[0].params, jax.jit(jax.vmap(step))(*two)[0].params
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y[1], atol=1e-6), alone, both)
    settings = Mesh(data=1, fsdp=2, fsdp_size=1)
    mesh = settings.build(jax.devices()[:2])
    places = sharding.state_shardings(state, optim.build(4), mesh, settings)
    with jax.set_mesh(mesh):
        split = jax.jit(step, in_shardings=(places, None), out_shardings=(places, None))
        now, _ = split(jax.device_put(state, places), batch_of())
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), alone, jax.device_get(now.params))


def test_mistakes_are_named_before_the_first_step(tiny):
    for patterns, said in (
        (("^encoder_image",), r"optim\.frozen: '\^encoder_image' is found in no parameter's path"),
        (("(",), r"optim\.frozen: '\(' is no regular expression"),
        (("",), "nothing learns"),
    ):
        with pytest.raises(UserError, match=said):
            prepare(tiny(optim={"frozen": patterns}))


def test_off_changes_nothing():
    params, rule = {"a": jnp.ones(2)}, Optim().build(3)
    assert frozen.learned((), params) is params
    assert frozen.over(rule, ()) is rule
