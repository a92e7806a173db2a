"""A state whose small arrays lie end to end is the same state."""

import contextlib
import dataclasses
import shutil

import jax
import numpy as np
import pytest

import mmjax
from mmjax.core import UserError
from mmjax.data import pipeline
from mmjax.train import Mesh, flat, pixel, place, sharding
from mmjax.train.folder import CHECKPOINTS, Folder
from mmjax.train.prepare import prepare


def test_there_and_back_is_the_same_to_the_bit(tiny):
    p = prepare(tiny(run={"flat": True}))
    held = flat.made(p)
    state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
    vectors = held.laid(state)
    large = [leaf for leaf in jax.tree.leaves(state.replace(key=None)) if leaf.nbytes > flat.SMALL]
    assert 0 < len(large) == len(vectors.others)
    assert sorted(vectors.numbers) == ["float32", "int32"]
    back = held.cut(vectors)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    plain = [tree.replace(key=jax.random.key_data(tree.key)) for tree in (state, back)]
    jax.tree.map(np.testing.assert_array_equal, *plain)


def test_a_flat_run_goes_on_as_one_that_is_not(tiny, tmp_path):
    """Six steps flat, two not, come to what eight that are not come to; the folders are of one kind."""
    folder = tmp_path / "run"
    mmjax.train(tiny(run={"save_every": 6, "flat": True}), workdir=folder, quiet=True)
    flat_weights = Folder(folder).weights()
    shutil.rmtree(folder / CHECKPOINTS / "8")
    mmjax.train(tiny(), workdir=folder, quiet=True)
    mmjax.train(tiny(), workdir=tmp_path / "other", quiet=True)
    wanted = Folder(tmp_path / "other").weights()
    for found in (flat_weights, Folder(folder).weights()):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, wanted)


def test_parts_stay_as_they_are(tiny):
    """Devices that share the kernels hold them as before; the rest is a vector of each kind, given to the step."""
    mesh = Mesh(data=1, fsdp=len(jax.devices()), fsdp_size=64)
    p = prepare(dataclasses.replace(tiny(run={"flat": True}), mesh=mesh))
    held = flat.made(p)
    with jax.set_mesh(p.mesh):
        state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
        first = jax.device_get(state.params)
        vectors = held.laid(state)
        parts = [leaf for leaf in jax.tree.leaves(state) if not leaf.sharding.is_fully_replicated]
        assert parts and len(vectors.others) == len(parts) and sorted(vectors.numbers) == ["float32", "int32"]
        stream = pipeline.stream(p.examples, batch=p.experiment.data.batch, seed=0, shard=(0, 1))
        with contextlib.closing(stream) as batches:
            batch = place.put(pixel.alike(next(batches), p.schema), p.mesh)
        found = held.cut(held.step(vectors, batch)[0])
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves((vectors.numbers, vectors.others)))
        wanted = p.step(jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0)), batch)[0]
    alike = jax.tree.map(lambda a, b: a.sharding.is_equivalent_to(b.sharding, a.ndim), found, wanted)
    assert all(jax.tree.leaves(alike))
    plain = [tree.replace(key=jax.random.key_data(tree.key)) for tree in (found, wanted)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *plain)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), wanted.params, first)
    assert sum(jax.tree.leaves(moved)) > len(jax.tree.leaves(moved)) / 2


def test_a_key_among_the_variables_stays_as_it_is(tiny):
    p = prepare(tiny(run={"flat": True}))
    with jax.set_mesh(p.mesh):
        state = jax.jit(p.init)(jax.random.key(0)).replace(variables={"noise": {"key": jax.random.key(7)}})
        shapes = jax.eval_shape(lambda: state)
        places = jax.tree.map(lambda _: sharding.replicated(p.mesh), shapes)
        held = flat.Flat(lambda state, batch: (state, {}), shapes, places, p.mesh)
        back = held.cut(held.step(held.laid(state), {})[0])
    assert (jax.random.key_data(back.variables["noise"]["key"]) == jax.random.key_data(jax.random.key(7))).all()


def test_a_rollout_reads_the_state_as_it_is(tiny):
    with pytest.raises(UserError, match=r"run\.flat is not for a rollout, .*; set it to False$"):
        prepare(tiny(run={"flat": True}, rollout=object()))
