"""Kernels that learn through factors of low rank."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmjax
from mmjax.core import UserError, trees
from mmjax.train import Lora
from mmjax.train.folder import Folder
from mmjax.train.prepare import prepare


def test_training_begins_with_the_model_as_it_was(tiny):
    p, adapted = prepare(tiny()), prepare(dataclasses.replace(tiny(), lora=Lora(rank=2)))
    one, other = (jax.jit(each.init)(jax.random.key(0)).params for each in (p, adapted))
    merged = Lora(rank=2).merged(other)
    assert jax.tree.structure(merged) == jax.tree.structure(one)
    jax.tree.map(np.testing.assert_array_equal, merged, one)


def test_factors_of_any_kernel_add_their_product():
    rng = np.random.default_rng(0)
    shapes = {"query": (6, 2, 3), "out": (2, 3, 6), "up": (6, 8)}
    params = {"blocks": {n: {"kernel": rng.normal(size=(4, *s)).astype(np.float32)} for n, s in shapes.items()}}
    lora = Lora(rank=2, scale=3.0, where=("kernel$",))
    begun = lora.begin(params, jax.random.key(0))
    begun["lora"] = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), begun["lora"])
    merged = lora.merged(begun)
    for name, shape in shapes.items():
        inputs = shape[0] if name == "query" else int(np.prod(shape[:-1]))
        factors = begun["lora"]["blocks"][name]["kernel"]
        assert factors["down"].shape == (4, inputs, 2) and factors["up"].shape[:2] == (4, 2)
        for layer in range(4):
            old = params["blocks"][name]["kernel"][layer].reshape(inputs, -1).astype(np.float64)
            down, up = (np.asarray(factors[part][layer], np.float64) for part in ("down", "up"))
            new = np.asarray(merged["blocks"][name]["kernel"][layer]).reshape(inputs, -1)
            np.testing.assert_allclose(new, old + 1.5 * down @ up, rtol=1e-5, atol=1e-6)


def test_each_expert_has_factors_of_its_own():
    rng = np.random.default_rng(0)
    lora = Lora(rank=2, scale=2.0, where=("kernel$",))
    for where, many in (("block_0", (3,)), ("blocks", (4, 3))):
        kernel = rng.normal(size=(*many, 6, 8)).astype(np.float32)
        begun = lora.begin({where: {"experts": {"up": {"kernel": kernel}}}}, jax.random.key(0))
        factors = begun["lora"][where]["experts"]["up"]["kernel"]
        assert factors["down"].shape == (*many, 6, 2) and factors["up"].shape == (*many, 2, 8)
        factors["up"] = jnp.asarray(rng.normal(size=factors["up"].shape), jnp.float32)
        merged = lora.merged(begun)[where]["experts"]["up"]["kernel"]
        wanted = kernel + np.einsum("...ir,...ro->...io", *(np.asarray(factors[n], np.float64) for n in ("down", "up")))
        np.testing.assert_allclose(merged, wanted, rtol=1e-5, atol=1e-6)


def test_a_run_learns_through_them_and_answers_with_the_sums(tiny, tmp_path):
    experiment = dataclasses.replace(tiny(), lora=Lora(rank=2, where=("(query|value|up)/kernel$",)))
    result = mmjax.train(experiment, workdir=tmp_path / "run", quiet=True)
    state_paths = trees.flatten(jax.eval_shape(prepare(experiment).init, jax.random.key(0)).params)
    assert any(path.startswith("lora/") for path in state_paths)
    loaded = Folder(tmp_path / "run").weights()
    assert "lora" not in loaded["params"] and "lora" not in result.weights["params"]
    jax.tree.map(np.testing.assert_array_equal, loaded, jax.device_get(result.weights))
    again = mmjax.train(experiment, workdir=tmp_path / "run", quiet=True)  # all is done: it only evaluates
    assert again.evaluations == result.evaluations


def test_a_pattern_that_fits_nothing_is_refused(tiny):
    with pytest.raises(UserError, match=r"lora\.where: 'quarry' is found in no path of a kernel"):
        prepare(dataclasses.replace(tiny(), lora=Lora(where=("quarry",))))
    with pytest.raises(UserError, match="rank=0 must be 1 or more"):
        Lora(rank=0)
