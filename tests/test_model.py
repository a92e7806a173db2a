"""The multimodal network: what its heads read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import Multimodal, encoders, fusion, heads
from mmjax.core import Signal, UserError


def build(**given):
    sensors = {name: encoders.Sensor(width=8, depth=0, patch=2) for name in "ab"}
    return Multimodal(encoders=sensors, fusion=fusion.Late(width=8), heads=given)


def inputs(rows=3):
    rng = np.random.default_rng(0)
    return {
        name: Signal(jnp.asarray(rng.normal(size=(rows, 4, 2)), jnp.float32), jnp.ones((rows, 4), bool))
        for name in ("a", "b")
    }


def test_a_head_reads_what_is_fused_or_one_stream_alone():
    model = build(label=heads.Classify(3), sight=heads.Classify(3, stream="a"))
    given = inputs()
    held = jax.jit(lambda: model.init(jax.random.key(0), given, train=False))()
    run = jax.jit(lambda inputs: model.apply(held, inputs, train=False).heads)
    before, after = run(given), run({**given, "b": given["b"].replace(values=-given["b"].values)})
    assert np.abs(before["label"] - after["label"]).max() > 1e-3
    np.testing.assert_array_equal(before["sight"], after["sight"])
    assert set(run({"b": given["b"]})) == {"label"}


@pytest.mark.parametrize("kind", [heads.Classify(2), heads.MultiLabel(2), heads.Regress(2)])
def test_what_a_head_apart_reads_learns_nothing_from_it(kind):
    model, given = build(label=kind.clone(stream="a", apart=True)), inputs()
    held = jax.jit(lambda: model.init(jax.random.key(0), given, train=False))()

    @jax.jit
    def slopes(held):
        return jax.grad(lambda held: jnp.sum(jnp.sin(model.apply(held, given, train=False).heads["label"])))(held)

    for name, part in slopes(held)["params"].items():
        assert any(np.any(leaf) for leaf in jax.tree.leaves(part)) == (name == "heads_label"), name


def test_a_stream_that_is_not_there_is_told():
    with pytest.raises(UserError, match="head 'label' reads stream 'c'; there are a, b"):
        build(label=heads.Classify(3, stream="c")).init(jax.random.key(0), inputs(), train=False)
