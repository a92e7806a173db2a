"""Running statistics go through the whole engine: steps, saves, evaluation, any number of devices."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmjax
from mmjax import Multimodal, datasets, encoders, fusion, heads, nn
from mmjax.core import trees
from mmjax.data import pipeline
from mmjax.predict import Predictor
from mmjax.train import Interrupted, Mesh, Sgd, place
from mmjax.train.prepare import prepare

MODEL = Multimodal(
    encoders={
        "image": encoders.ResNet(4, (1, 1), bottleneck=False, small=True),
        "text": encoders.Chain(encoders.Text(128, width=8, depth=0), nn.Recurrent(4, bidirectional=True)),
    },
    fusion=fusion.Late(width=16),
    heads={"label": heads.Classify(classes=10)},
)


@pytest.fixture(scope="module")
def small(tiny):
    """``small(steps, ...)``: the tiny experiment with a network that keeps statistics."""

    def make(steps, *, optim=None, **changes):
        plain = {"rule": Sgd(), "lr": 0.05, "average": 0.0}
        return tiny(model=MODEL, run={"steps": steps}, optim=plain | (optim or {}), **changes)

    return make


def test_a_run_that_was_stopped_goes_on_bit_for_bit_and_is_evaluated_as_it_was(small, tmp_path, monkeypatch):
    straight = mmjax.train(small(6), workdir=tmp_path / "straight", quiet=True)
    assert trees.count(straight.weights["batch_stats"]) == 2 * (4 + 2 * 4 + 3 * 8)
    from mmjax.train.signals import Wish

    asked = iter([0, 0, signal.SIGINT])
    monkeypatch.setattr(Wish, "agreed", lambda self: next(asked))
    with pytest.raises(Interrupted, match="after step 3"):
        mmjax.train(small(6), workdir=tmp_path / "stopped", quiet=True)
    monkeypatch.undo()
    stopped = mmjax.train(small(6), workdir=tmp_path / "stopped", quiet=True)
    jax.tree.map(np.testing.assert_array_equal, stopped.weights, straight.weights)
    assert stopped.evaluations == straight.evaluations

    val = datasets.Digits(split="val", batch=64)
    assert mmjax.evaluate(tmp_path / "stopped", val) == straight.evaluations["val"]
    answer = next(iter(Predictor.load(tmp_path / "stopped")(text="seven")))
    assert 0 < answer["heads"]["label"]["probability"] < 1


class One(Mesh):
    """The first device alone."""

    def build(self, devices=None):
        return Mesh(data=1).build(jax.devices()[:1])


def steps(experiment, count):
    """Losses, and the state that is left."""
    p, data, losses = prepare(experiment), experiment.data, []
    batches = pipeline.stream(p.examples, batch=data.batch, seed=data.seed, augment=data.augment)
    with jax.set_mesh(p.mesh):
        state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
        for _ in range(count):
            state, metrics = p.step(state, place.put(next(batches), p.mesh))
            losses.append(float(metrics["loss"]))
    return np.array(losses), state


@pytest.mark.parametrize("mesh", [Mesh(data=8), Mesh(data=2, fsdp=4, fsdp_size=64)], ids=["data", "fsdp"])
def test_statistics_are_those_of_the_batch_on_however_many_devices(small, mesh):
    alone, expected = steps(small(5, mesh=One()), 5)
    losses, state = steps(small(5, mesh=mesh), 5)
    np.testing.assert_allclose(losses, alone, rtol=0, atol=1e-5)
    for one, other in zip(jax.tree.leaves(state.variables), jax.tree.leaves(expected.variables), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        assert len(one.sharding.device_set) == 8


def test_micro_batches_move_the_statistics_one_after_the_other(small):
    experiment = small(2, mesh=One(), optim={"accumulate": 2}, modality_dropout=0.0)
    p = prepare(experiment)
    batch = p.examples.schema.done(next(pipeline.sweep(p.examples, batch=experiment.data.batch))[0])
    state = p.init(jax.random.key(0))
    variables = state.variables
    for piece in range(2):
        inputs = jax.tree.map(lambda leaf, piece=piece: jnp.asarray(leaf[piece::2]), batch.inputs)
        held = {"params": state.params, **variables}
        _, variables = MODEL.apply(held, inputs, train=True, mutable=["batch_stats"])
    with jax.set_mesh(p.mesh):
        moved, _ = p.step(state, place.put(batch, p.mesh))
    for one, other in zip(jax.tree.leaves(moved.variables), jax.tree.leaves(variables), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
