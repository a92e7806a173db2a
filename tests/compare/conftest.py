"""A comparison that takes seconds, run once."""

import dataclasses

import pytest

import mmjax
from mmjax import datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Experiment, Optim, Run


def make(**changes):
    """Two signals, networks of a few hundred parameters, four steps."""
    data = datasets.Synergy(rows=60, batch=16)
    experiment = Experiment(
        model=mmjax.Multimodal(
            encoders={name: encoders.Sensor(width=8, depth=0, heads=2, patch=1) for name in "ab"},
            fusion=fusion.Bottleneck(width=8, depth=1, heads=2),
            heads={"label": heads.Classify(classes=4)},
        ),
        data=data,
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(dataclasses.replace(data, split="val", rows=40, batch=24))},
        optim=Optim(lr=1e-2),
        run=Run(steps=4, log_every=2, seed=3),
        modality_dropout=0.2,
    )
    return dataclasses.replace(experiment, **changes)


OPTIONS = {"seeds": 2, "fusions": ("late",), "quiet": True}


@pytest.fixture(scope="session")
def experiment():
    return make()


@pytest.fixture(scope="session")
def compared(experiment, tmp_path_factory):
    """What a comparison gave, and its folder; not to be changed."""
    folder = tmp_path_factory.mktemp("compared") / "run"
    return mmjax.compare(experiment, workdir=folder, **OPTIONS), folder
