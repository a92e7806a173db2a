"""Seeds side by side are the single runs that they stand for."""

import dataclasses

import jax
import numpy as np
import pytest

import mmjax
from mmjax import encoders, fusion
from mmjax.train import Sgd, seeds
from mmjax.train.prepare import prepare

SUBSETS = [("image", "text"), ("image",), ("text",)]


@pytest.fixture(scope="module")
def small(tiny):
    """Dropout, modality dropout and an average, so that every key and every part of the state matters."""
    experiment = tiny(
        run={"steps": 4, "log_every": 3}, optim={"rule": Sgd(), "lr": 0.1, "clip": 0.5}, modality_dropout=0.4
    )
    model = experiment.model
    heads = {"label": dataclasses.replace(model.heads["label"], dropout=0.3)}
    return dataclasses.replace(experiment, model=model.clone(heads=heads))


@pytest.fixture(scope="module")
def prepared(small):
    return prepare(small)


@pytest.fixture(scope="module")
def singles(small):
    """Two runs of their own, by seed."""
    found = {}
    for seed in (0, 3):
        run, data = dataclasses.replace(small.run, seed=seed), dataclasses.replace(small.data, seed=seed)
        found[seed] = mmjax.train(dataclasses.replace(small, run=run, data=data), quiet=True)
    return found


@pytest.mark.parametrize("together", [True, False])
def test_seed_is_the_single_run(prepared, singles, together):
    found = seeds.train(prepared, [0, 3], together=together)
    assert found.together == together and found.seconds > 0 and found.compiling > 0
    for seed, weights in zip([0, 3], found.weights, strict=True):
        single = singles[seed]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-5), weights, single.weights)
        evaluation = prepared.evaluations["val"]
        rows = seeds.answers(evaluation, [weights], SUBSETS[:1]).rows[0][0]["label"]
        assert np.mean(rows.scores.argmax(axis=1) == rows.targets) == pytest.approx(
            single.evaluations["val"]["heads"]["label"]["accuracy"]["value"], abs=2 / len(rows.targets)
        )


def test_every_example_is_answered_once(prepared):
    evaluation = prepared.evaluations["val"]
    weights = seeds.train(prepared, [1, 2], together=False).weights
    found = seeds.answers(evaluation, weights, SUBSETS)
    assert found.seconds > 0
    for subset, by_seed in zip(SUBSETS, found.rows, strict=True):
        for each, rows in zip(weights, by_seed, strict=True):
            np.testing.assert_array_equal(rows["label"].index, np.arange(len(evaluation.examples)))
            alone = evaluation._collect(each, frozenset(subset))["label"]
            np.testing.assert_array_equal(rows["label"].targets, alone.targets)
            np.testing.assert_allclose(rows["label"].scores, alone.scores, rtol=1e-5, atol=1e-5)


def test_ticks_count_and_may_end_it(prepared):
    told = []
    seeds.train(prepared, [0, 1], together=False, tick=told.append)
    assert told == list(range(1, 9))

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seeds.train(prepared, [0, 1], together=True, tick=stop)


def test_divergence_names_the_seed(tiny):
    wild = prepare(tiny(run={"steps": 4}, optim={"rule": Sgd(), "lr": 1e30, "clip": 0.0, "warmup": 0}))
    with pytest.raises(FloatingPointError, match="with seed 5"):
        seeds.train(wild, [5], together=False)


def test_convolutions_on_a_processor_go_one_after_the_other(tiny, prepared):
    assert not seeds._pays(prepared)
    model = tiny().model
    read = tiny(model=model.clone(encoders={"text": model.encoders["text"]}))
    assert seeds._pays(prepare(read))
    assert seeds._memory(prepared.mesh) > 1e8


def test_running_statistics_are_each_seeds_own(tiny):
    image = encoders.ResNet(4, (1,), bottleneck=False, small=True)
    model = tiny().model
    experiment = tiny(model=model.clone(encoders={"image": image}, fusion=fusion.Late(width=8)))
    ready = prepare(dataclasses.replace(experiment, run=dataclasses.replace(experiment.run, steps=2)))
    both, single = (seeds.train(ready, [0, 1], together=together).weights for together in (True, False))
    first, second = (weights["batch_stats"] for weights in both)
    assert not jax.tree.all(jax.tree.map(np.array_equal, first, second))
    for one, other in zip(both, single, strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            one["batch_stats"],
            other["batch_stats"],
        )
