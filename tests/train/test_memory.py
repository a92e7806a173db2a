"""What a step holds: the old state makes room for the new one, and half precision is for computing alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from mmjax.core import plain, trees
from mmjax.data import pipeline
from mmjax.train import Mesh, place
from mmjax.train.prepare import prepare


def begun(experiment):
    """A run before its first step, the state to begin with, and its batches."""
    p = prepare(experiment)
    batches = pipeline.stream(p.examples, batch=experiment.data.batch, seed=0, augment=())
    with jax.set_mesh(p.mesh):
        return p, jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0)), batches


def in_half(part):
    """The same part with every ``dtype`` in it bfloat16."""
    changes = {"dtype": "bfloat16"} if "dtype" in plain.fields(part) else {}
    for name in plain.fields(part):
        inner = getattr(part, name)
        if isinstance(inner, linen.Module):
            changes[name] = in_half(inner)
        elif hasattr(inner, "items"):
            changes[name] = {key: in_half(value) for key, value in inner.items()}
    return part.clone(**changes)


@pytest.mark.parametrize("mesh", [Mesh(data=8), Mesh(data=2, fsdp=4, fsdp_size=64)], ids=["data", "fsdp"])
def test_the_new_state_lies_where_the_old_one_was(tiny, mesh):
    p, state, batches = begun(tiny(mesh=mesh))
    with jax.set_mesh(p.mesh):
        batch = place.put(next(batches), p.mesh)
        compiled = p.step.lower(state, batch).compile()
        new, _ = compiled(state, batch)
    own = [leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves((new.params, new.opt_state))]
    assert compiled.memory_analysis().alias_size_in_bytes >= sum(own)
    for path, leaf in trees.flatten((state.params, state.opt_state)).items():
        assert leaf.is_deleted(), path


def test_half_precision_computes_and_nothing_else(tiny):
    losses = {}
    for name in ("float32", "bfloat16"):
        experiment = tiny(optim={"average": 0.0}, run={"steps": 12})
        if name == "bfloat16":
            experiment = tiny(optim={"average": 0.0}, run={"steps": 12}, model=in_half(experiment.model))
        p, state, batches = begun(experiment)
        seen = []
        with jax.set_mesh(p.mesh):
            for _ in range(12):
                state, metrics = p.step(state, place.put(next(batches), p.mesh))
                seen.append(float(metrics["loss"]))
        losses[name] = np.asarray(seen)
        kinds = {leaf.dtype for leaf in jax.tree.leaves((state.params, state.opt_state))}
        assert kinds <= {jnp.dtype("float32"), jnp.dtype("int32")}
    text = str(jax.make_jaxpr(p.function)(state, next(batches)))
    assert text.count("bf16[") > text.count("dot_general")
    assert not np.array_equal(*losses.values())
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.03)
