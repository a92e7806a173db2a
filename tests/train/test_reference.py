"""Probes learn from rows of their own, in the loop and of a finished run."""

import dataclasses

import pytest

import mmjax
from mmjax import datasets, fusion, heads, metrics, objectives
from mmjax.core import UserError
from mmjax.train import Evaluator

MEASURES = {
    "found": metrics.Retrieval("image", "text"),
    "linear": metrics.Probe("label", "image", metrics.Linear(steps=20)),
    "zero-shot": metrics.Probe("label", "image", metrics.Prototypes(), shared=True, by="text"),
}


def towers(tiny, **fields):
    experiment = tiny(run={"steps": 2}, optim={"warmup": 0})
    model = experiment.model.clone(fusion=fusion.Towers(width=8), heads={"scale": heads.Temperature()})
    evaluators = {"val": Evaluator(datasets.Digits("val", batch=64), metrics=MEASURES, **fields)}
    contrast = {"pairs": objectives.Contrastive()}
    return dataclasses.replace(experiment, model=model, objectives=contrast, evaluators=evaluators)


def test_representations_are_measured_in_the_loop_and_afterwards(tiny, tmp_path):
    experiment = towers(tiny, reference=datasets.Digits("test", batch=64))
    result = mmjax.train(experiment, workdir=tmp_path / "run", quiet=True)
    found = result.evaluations["val"]["heads"]
    assert list(found) == list(MEASURES) and found["linear"]["reference"] > 300
    assert found["linear"]["accuracy"]["value"] > 0.3  # of random pictures' features, too
    assert 0 <= found["found"]["recall_at_1"]["value"] <= found["found"]["recall_at_10"]["value"] <= 1
    again = mmjax.evaluate(tmp_path / "run", datasets.Digits("val", batch=64))
    for head, figure in (("found", "recall_at_5"), ("linear", "accuracy"), ("zero-shot", "accuracy")):
        assert again["heads"][head][figure]["value"] == pytest.approx(found[head][figure]["value"], abs=0.02)
    (answer,) = mmjax.predict.Predictor.load(tmp_path / "run")(text="seven")
    assert answer["heads"] == {} and answer["missing"] == ["image"]


def test_a_probe_without_reference_is_refused(tiny):
    with pytest.raises(UserError, match="set the evaluator's reference"):
        mmjax.train(towers(tiny), quiet=True)
