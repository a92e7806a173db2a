"""A comparison on two signals comes as near to what is possible as it should, and no nearer."""

import pytest

import mmjax
from mmjax import datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Experiment, Optim, Run

DATA = datasets.Synergy(rows=3_000, classes=3, batch=96)


@pytest.fixture(scope="module")
def models():
    val = datasets.Synergy("val", rows=1_000, classes=3, batch=504)
    experiment = Experiment(
        model=mmjax.Multimodal(
            encoders={name: encoders.Sensor(width=32, depth=0, patch=3) for name in "ab"},
            fusion=fusion.Late(width=32, depth=1),
            heads={"label": heads.Classify(classes=3)},
        ),
        data=DATA,
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(val)},
        optim=Optim(lr=5e-3, warmup=20),
        run=Run(steps=500, log_every=100),
        modality_dropout=0.2,
    )
    return mmjax.compare(experiment, seeds=1, fusions=("late_mlp",), quiet=True)["models"]


@pytest.mark.parametrize(
    ("model", "given", "possible"),
    [
        ("late_mlp", "a+b", "a+b"),
        ("late_mlp", "a", "a"),
        ("late_mlp", "b", "b"),
        ("a alone", "a", "a"),
        ("b alone", "b", "b"),
        ("product of experts", "a+b", "product of experts"),
    ],
)
def test_what_is_possible_is_within_the_interval_of_what_was_measured(models, model, given, possible):
    accuracy = models[model]["subsets"][given]["accuracy"]
    assert accuracy["low"] <= DATA.optimal()[possible] <= accuracy["high"]


def test_what_only_both_together_say_was_learned(models):
    assert models["late_mlp"]["accuracy"]["low"] > DATA.optimal()["product of experts"] + 0.1
