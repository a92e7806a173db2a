"""A state that lies in a few long arrays is the same state."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

import mmjax
from mmjax.core import UserError
from mmjax.train import Mesh, flat
from mmjax.train.folder import CHECKPOINTS, Folder
from mmjax.train.prepare import prepare


def test_there_and_back_is_the_same_to_the_bit(tiny):
    p = prepare(tiny(run={"flat": True}))
    held = flat.made(p)
    state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
    vectors = held.laid(state)
    assert len(jax.tree.leaves(vectors)) <= 4 < len(jax.tree.leaves(state))
    back = held.cut(vectors)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    plain = [tree.replace(key=jax.random.key_data(tree.key)) for tree in (state, back)]
    jax.tree.map(np.testing.assert_array_equal, *plain)


def test_a_run_goes_on_either_way(tiny, tmp_path):
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


def test_a_state_in_parts_cannot_lie_end_to_end(tiny):
    mesh = Mesh(data=1, fsdp=len(jax.devices()), fsdp_size=64)
    with pytest.raises(UserError, match=r"run\.flat .* mesh"):
        prepare(dataclasses.replace(tiny(run={"flat": True}), mesh=mesh))
