"""A state whose small parameters lie end to end is the same state, and its step the same step."""

import contextlib
import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mmjax
from mmjax.core import Batch
from mmjax.data import pipeline
from mmjax.train import (
    Adafactor,
    Adam,
    AdamW,
    Lion,
    Mesh,
    Modulation,
    Muon,
    Optim,
    Sgd,
    flat,
    frozen,
    pixel,
    place,
    sharding,
)
from mmjax.train.folder import CHECKPOINTS, Folder
from mmjax.train.prepare import prepare
from mmjax.train.state import TrainState
from mmjax.train.viewed import through

OPTIMS = {
    "adamw": Optim(lr=0.1),
    "adam": Optim(lr=0.1, rule=Adam(), clip=0.0),
    "sgd": Optim(lr=0.1, rule=Sgd(nesterov=True, decay=0.1)),
    "lion": Optim(lr=0.1, rule=Lion(moments="bfloat16")),
    "muon": Optim(lr=0.1, rule=Muon()),
    "adafactor": Optim(lr=0.1, rule=Adafactor(momentum=0.9)),
    "int8": Optim(lr=0.1, rule=AdamW(moments="int8")),
    "average": Optim(lr=0.1, average=0.9, average_to=1.0),
    "frozen": Optim(lr=0.1, average=0.9, frozen=("block_0", "^heads")),
    "rates": Optim(lr=0.1, rates={"kernel": 0.1, "^encoders_one": 0.5}, frozen=("block_0",)),
    "depth": Optim(lr=0.1, layer_decay=0.5, frozen=("one/trunk/block_1",)),
}


class Quiet:
    def build(self, rate):
        return optax.sgd(rate)


class Otherwise(AdamW):
    def build(self, rate):
        return optax.adamw(rate, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree))


class Asked:
    """As much of a rollout as preparing asks of it."""

    def example(self, example):
        return example


def begun(p):
    return jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))


def first_batch(p):
    stream = pipeline.stream(p.examples, batch=p.experiment.data.batch, seed=0, shard=(0, 1))
    with contextlib.closing(stream) as batches:
        return place.put(pixel.alike(next(batches), p.schema), p.mesh)


def bare(state):
    """With numbers for the key."""
    return state.replace(key=jax.random.key_data(state.key))


def same(found, wanted, **near):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **near), bare(found), bare(wanted))


def test_there_and_back_is_the_same_to_the_bit(tiny):
    p = prepare(tiny())
    state = begun(p)
    held = p.held.laid(state)
    assert len(jax.tree.leaves(held)) < len(jax.tree.leaves(state)) / 3
    back = p.held.cut(held)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, bare(back), bare(state))


def test_it_is_held_as_it_says(tiny):
    p = prepare(tiny(optim={"average": 0.9}))
    held = p.held.laid(begun(p).replace(step=jnp.asarray(7)))
    assert held.step == 7
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (held, p.held.shapes)]
    assert shapes[0] == shapes[1]


def test_a_flat_run_goes_on_as_one_that_is_not(tiny, tmp_path):
    """Six steps flat, two not, come to what eight that are not come to; the folders are of one kind."""
    folder, each = tmp_path / "run", {"flat": False}
    mmjax.train(tiny(run={"save_every": 6}), workdir=folder, quiet=True)
    flat_weights = Folder(folder).weights()
    shutil.rmtree(folder / CHECKPOINTS / "8")
    mmjax.train(tiny(run=each), workdir=folder, quiet=True)
    mmjax.train(tiny(run=each), workdir=tmp_path / "other", quiet=True)
    wanted = Folder(tmp_path / "other").weights()
    for found in (flat_weights, Folder(folder).weights()):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, wanted)


def test_parts_stay_as_they_are(tiny):
    """Devices that share kernels hold them as before; all that is held is given to the step."""
    mesh = Mesh(data=1, fsdp=len(jax.devices()), fsdp_size=64)
    p = prepare(dataclasses.replace(tiny(), mesh=mesh))
    with jax.set_mesh(p.mesh):
        state = begun(p)
        first, batch = jax.device_get(state.params), first_batch(p)
        held = p.held.laid(state)
        parts, own = ([x for x in jax.tree.leaves(t) if not x.sharding.is_fully_replicated] for t in (state, held))
        assert len(parts) == len(own) > 0
        found = p.held.cut(p.held.step(held, batch)[0])
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(held))
        wanted = p.step(begun(p), batch)[0]
    alike = jax.tree.map(lambda a, b: a.sharding.is_equivalent_to(b.sharding, a.ndim), found, wanted)
    assert all(jax.tree.leaves(alike))
    same(found, wanted, rtol=1e-4, atol=1e-6)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), wanted.params, first)
    assert sum(jax.tree.leaves(moved)) > len(jax.tree.leaves(moved)) / 2


def parameters(rng):
    """Of two layers one by one, and of two in one array, in a tower each."""
    block = {"kernel": (8, 8), "bias": (8,), "scale": (8,)}
    tree = {
        "encoders_one": {"trunk": {"block_0": block, "block_1": block}, "stem": {"kernel": (3, 8), "bias": (8,)}},
        "encoders_two": {"trunk": {"blocks": {name: (2, *shape) for name, shape in block.items()}}},
        "heads_y": {"kernel": (8, 3), "bias": (3,)},
    }
    return jax.tree.map(lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32), tree, is_leaf=_is_shape)


def _is_shape(node):
    return isinstance(node, tuple)


@pytest.mark.parametrize("optim", OPTIMS.values(), ids=OPTIMS)
def test_an_optimizer_need_not_know(optim):
    """Three steps end to end are three steps of each parameter by itself."""
    rng = np.random.default_rng(0)
    params = parameters(rng)
    optimizer, places = optim.build(3), jax.tree.map(lambda _: sharding.replicated(sharding.single()), params)
    layout = flat.layout(params, places, optim)

    def laid(tree):
        return layout.laid(tree, lambda leaves: jnp.concatenate([leaf.reshape(-1) for leaf in leaves]))

    @jax.jit
    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        learned = frozen.learned(optim.frozen, params)
        return frozen.whole(optax.apply_updates(learned, updates), params), state

    now = params, jax.jit(optimizer.init)(params)
    held = laid(now)
    for _ in range(3):
        grads = frozen.learned(optim.frozen, parameters(rng))
        now, held = step(*now, grads), step(*held, laid(grads))
    found = layout.cut(held)
    assert jax.tree.structure(found) == jax.tree.structure(now)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, now)


@pytest.mark.parametrize(
    ("name", "count"),
    # What decays and what does not; of Muon no matrices; what is frozen by itself; each factor; none by depth.
    {"adamw": 2, "sgd": 2, "muon": 5, "adafactor": 13, "int8": 13, "frozen": 4, "rates": 6, "depth": 13}.items(),
)
def test_what_an_optimizer_treats_alike_is_one_vector(name, count):
    params = parameters(np.random.default_rng(0))
    places = jax.tree.map(lambda _: sharding.replicated(sharding.single()), params)
    layout = flat.layout(params, places, OPTIMS[name])
    assert len(jax.tree.leaves(layout.laid(params, lambda leaves: len(leaves)))) == count


@pytest.mark.parametrize("change", [{"run": {"flat": False}}, {"balance": Modulation()}, {"rollout": Asked()}])
def test_where_each_parameter_is_wanted_by_itself_it_is(change, tiny, monkeypatch):
    monkeypatch.setattr(Modulation, "check", lambda *_: None)
    p = prepare(tiny(**change))
    assert len(jax.tree.leaves(p.held.shapes)) == len(jax.tree.leaves(p.shapes))


def test_what_moves_parameters_in_a_way_of_its_own_has_each_by_itself():
    """A rule that says nothing, one that builds otherwise than whoever spoke for it, and rates by a layer's depth."""
    params = parameters(np.random.default_rng(0))
    for optim in (Optim(rule=Quiet()), Optim(rule=Otherwise()), Optim(layer_decay=0.5)):
        assert {*jax.tree.leaves(optim.alike(params))} == {""}


def test_views_ask_the_average_in_its_usual_form():
    params, asked = parameters(np.random.default_rng(0)), []
    optim = Optim(average=0.9)
    state = TrainState(jnp.zeros((), int), params, {}, optim.build(3).init(params), jax.random.key(0))
    places = jax.tree.map(lambda _: sharding.replicated(sharding.single()), params)
    layout = flat.layout(params, places, optim)

    def laid(tree):
        return layout.laid(tree, lambda leaves: jnp.concatenate([leaf.reshape(-1) for leaf in leaves]))

    def views(batch, *, said, key):
        asked.append(said.variables["params"])
        return batch

    held = state.replace(params=jax.tree.map(jnp.zeros_like, laid(params)), opt_state=laid(state.opt_state))
    through(views, None, held, Batch({}, {}), layout.cut)
    jax.tree.map(np.testing.assert_array_equal, asked, [params])
