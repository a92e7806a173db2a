"""A small model comes as near as it should to what is possible with two signals, and no nearer."""

import mmjax
from mmjax import datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Experiment, Optim, Run


def test_training_comes_to_what_is_possible():
    data = datasets.Synergy(rows=3_000, classes=3, batch=96)
    val = datasets.Synergy("val", rows=1_000, classes=3, batch=504)
    found = mmjax.train(
        Experiment(
            model=mmjax.Multimodal(
                encoders={name: encoders.Sensor(width=32, depth=0, patch=3) for name in "ab"},
                fusion=fusion.Late(width=32, depth=1),
                heads={"label": heads.Classify(classes=3)},
            ),
            data=data,
            objectives={"label": objectives.CrossEntropy("label")},
            evaluators={"val": Evaluator(val, subsets=True)},
            optim=Optim(lr=5e-3, warmup=20),
            run=Run(steps=500, log_every=10),
            modality_dropout=0.2,
        ),
        quiet=True,
    )
    accuracy = found.evaluations["val"]["heads"]["label"]["accuracy"]
    optimal = data.optimal()
    assert accuracy["low"] <= optimal["a+b"] <= accuracy["high"] + 0.01
    assert accuracy["low"] > optimal["product of experts"] + 0.05  # what only both together say was learned
