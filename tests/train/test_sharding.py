"""Eight fake devices, one device: the same run. And the parameters really are split."""

import dataclasses

import jax
import numpy as np
import pytest

from mmjax import decoders
from mmjax.core import UserError, trees
from mmjax.data import pipeline
from mmjax.train import Mesh, Sgd, place, sharding
from mmjax.train.prepare import prepare
from tools.bench import workload

MESHES = {
    "data": Mesh(data=8),
    "fsdp": Mesh(data=1, fsdp=8, fsdp_size=64),
    "data x fsdp": Mesh(data=2, fsdp=4, fsdp_size=64, gather=2),
    "tensor": Mesh(data=4, tensor=2),
    "all": Mesh(data=2, fsdp=2, tensor=2, fsdp_size=64),
}


class One(Mesh):
    """The first device alone."""

    def build(self, devices=None):
        return Mesh(data=1).build(jax.devices()[:1])


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **facts: (
        COMPILED.append(facts.get("fun_name")) if event.endswith("backend_compile_duration") else None
    )
)


def run(experiment, steps=20):
    COMPILED.clear()
    p = prepare(experiment)
    data = experiment.data
    batches = pipeline.stream(p.examples, batch=data.batch, seed=data.seed, augment=data.augment)
    losses = []
    with jax.set_mesh(p.mesh):
        state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
        for _ in range(steps):
            state, metrics = p.step(state, place.put(next(batches), p.mesh))
            losses.append(float(metrics["loss"]))
    assert COMPILED.count("jit(step)") == 1
    return np.array(losses), state


@pytest.fixture(scope="module")
def small(tiny):
    """Plain descent: Adam would blow the rounding of a gradient that is truly zero up to its whole rate."""

    def make(mesh):
        return tiny(mesh=mesh, run={"steps": 20}, optim={"rule": Sgd(), "lr": 0.05, "average": 0.0})

    return make


@pytest.fixture(scope="module")
def alone(small):
    return run(small(One()))


@pytest.mark.parametrize("name", MESHES)
def test_a_mesh_changes_nothing_but_the_place(small, alone, name):
    losses, state = run(small(MESHES[name]))
    np.testing.assert_allclose(losses, alone[0], rtol=0, atol=1e-5)
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(alone[1].params), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
    assert_split(state, MESHES[name])


def assert_split(state, mesh):
    """What the compiled step gave back lies in parts, parameters and moments alike."""
    found = 0
    for path, leaf in trees.flatten({"params": state.params, "moments": state.opt_state}).items():
        if path.endswith("up/kernel") and leaf.size >= 64 * 8:
            shard = leaf.addressable_shards[0].data
            assert shard.size * mesh.tensor * mesh.fsdp == leaf.size, f"{path} {leaf.shape} lies as {shard.shape}"
            found += 1
    assert found >= 4


def test_a_rule_that_matches_nothing_is_an_error(tiny):
    with pytest.raises(UserError, match="'nowhere' matches no parameter"):
        prepare(tiny(mesh=Mesh(rules=(("nowhere", ("tensor",)),))))


def test_heads_that_do_not_divide_are_an_error(tiny):
    with pytest.raises(UserError, match=r"2 does not divide by mesh\.tensor=8"):
        prepare(tiny(mesh=Mesh(data=1, tensor=8)))


def test_a_batch_that_does_not_divide_is_an_error(tiny):
    with pytest.raises(UserError, match=r"data\.batch=16 does not divide by 24"):
        prepare(tiny(optim={"accumulate": 3}))


@pytest.mark.parametrize("mesh", [Mesh(data=3), Mesh(data=-1, fsdp=-1), Mesh(data=0), Mesh(fsdp=16)])
def test_a_mesh_that_does_not_fit_is_an_error(mesh):
    with pytest.raises(UserError, match="mesh"):
        mesh.build()


def test_rules_come_before_the_house_and_the_first_wins(tiny):
    mesh = Mesh(data=4, tensor=2, rules=((r"up/kernel$", (None, None)),))
    p = prepare(tiny(mesh=mesh))
    places = trees.flatten(sharding.specs(p.shapes.params, p.mesh, mesh))
    assert all(not any(spec) for path, spec in places.items() if path.endswith("up/kernel"))
    assert all("tensor" in spec for path, spec in places.items() if path.endswith("down/kernel"))


def stepped(made, mesh):
    """The loss and the parameters after a step of plain descent, what of them is split, and a device's operations."""
    p = prepare(dataclasses.replace(made, mesh=mesh, optim=dataclasses.replace(made.optim, rule=Sgd(), lr=0.1)))
    with jax.set_mesh(p.mesh):
        state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
        batch = place.put(made.data.example(), p.mesh)
        step = p.step.lower(state, batch).compile()
        state, metrics = step(state, batch)
    split = {path for path, leaf in trees.flatten(p.shardings.params).items() if "tensor" in leaf.spec}
    return float(metrics["loss"]), state.params, split, step.cost_analysis()["flops"]


@pytest.mark.parametrize("model", ["trunk", "tied"])
def test_the_words_loss_is_split_as_layers_are(model):
    made = workload.language(8, 32, 512, width=32, depth=1, heads=4)
    if model != "trunk":
        made = dataclasses.replace(made, model=decoders.GPT(512, length=32, width=32, depth=1, heads=4))
    loss, params, _, work = stepped(made, One())
    found, others, split, share = stepped(made, Mesh(data=2, tensor=4))
    assert split & {"head/kernel", "embed/embedding"}
    np.testing.assert_allclose(found, loss, rtol=0, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), params, others)
    assert share <= 1.15 * work / 8  # norms and what is added are done by all


def test_words_that_do_not_divide_stay_whole():
    mesh = Mesh(data=2, tensor=4)
    shapes = {"head": {"kernel": jax.ShapeDtypeStruct((32, 67), "float32")}, "word_kernel": jax.numpy.zeros((32, 64))}
    found = sharding.specs(shapes, mesh.abstract(8), mesh)
    assert tuple(found["head"]["kernel"]) == (None, None) and tuple(found["word_kernel"]) == (None, "tensor")
