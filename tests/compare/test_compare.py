"""A comparison keeps its contract, goes on where it was, and is told apart from any other."""

import dataclasses
import json
import shutil
import signal

import numpy as np
import pytest

import mmjax
from mmjax import fusion
from mmjax.compare import candidate, run, trial
from mmjax.compare.plan import plan
from mmjax.core import UserError
from mmjax.train import Interrupted, signals

OPTIONS = {"seeds": 2, "fusions": ("late",), "quiet": True}
KINDS = {
    "majority": "baseline",
    "a alone": "alone",
    "b alone": "alone",
    "product of experts": "experts",
    "mean of experts": "experts",
    "stacked experts": "experts",
    "bottleneck": "fusion",
    "late": "fusion",
}


def timeless(found):
    """The part that is the same each time."""
    models = {
        name: {key: value for key, value in record.items() if not key.endswith("_seconds")}
        for name, record in found["models"].items()
    }
    return {**found, "models": models, "seconds": None, "workdir": None}


def test_contract(compared):
    found, folder = compared
    assert found == json.loads((folder / "compare.json").read_text())
    assert {name: record["kind"] for name, record in found["models"].items()} == KINDS
    assert found["reference"] == "bottleneck" and found["seeds"] == [3, 4] and found["count"] == 40
    assert found["subsets"] == ["a", "b", "a+b"] and found["best"]["name"] in ("bottleneck", "late")
    accuracies = [record["accuracy"]["value"] for record in found["models"].values()]
    assert accuracies == sorted(accuracies, reverse=True)
    for name, record in found["models"].items():
        for figure in ("accuracy", "f1_macro", "calibration_error"):
            assert 0 <= record[figure]["low"] <= record[figure]["value"] <= record[figure]["high"] <= 1
        if name == found["reference"]:
            assert record["difference"] is None
        else:
            gap = record["accuracy"]["value"] - found["models"]["bottleneck"]["accuracy"]["value"]
            assert record["difference"]["accuracy"]["value"] == pytest.approx(gap)
        if record["kind"] != "baseline":
            assert all(record[cost] > 0 for cost in ("parameters", "flops", "train_seconds", "predict_seconds"))
            assert np.mean(record["seeds"]["accuracy"]) == pytest.approx(record["accuracy"]["value"])
    subsets = {name: list(record["subsets"]) for name, record in found["models"].items()}
    assert subsets["majority"] == [] and subsets["a alone"] == ["a"]
    assert set(subsets["late"]) == set(subsets["product of experts"]) == {"a", "b", "a+b"}
    whole = found["models"]["late"]["subsets"]["a+b"]["accuracy"]["value"]
    assert whole == found["models"]["late"]["accuracy"]["value"]


def test_experts_are_made_of_the_models_alone(compared):
    models = compared[0]["models"]
    product, alone = models["product of experts"], [models["a alone"], models["b alone"]]
    for cost in ("parameters", "flops", "predict_seconds"):
        assert product[cost] == pytest.approx(sum(record[cost] for record in alone))
    assert product["train_seconds"] > sum(record["train_seconds"] for record in alone)  # their twins' too
    for record, name in zip(alone, "ab", strict=True):  # a temperature does not change the likeliest class
        assert product["subsets"][name]["accuracy"]["value"] == pytest.approx(record["accuracy"]["value"], abs=0.05)


def test_majority_is_the_training_rows_most_frequent_class(compared, experiment):
    def answers(data):
        return [int(row.cells["label"]) for row in data.source().rows]

    said = np.bincount(answers(experiment.data)).argmax()
    accuracy = np.mean(np.asarray(answers(experiment.evaluators["val"].data)) == said)
    assert compared[0]["models"]["majority"]["accuracy"]["value"] == pytest.approx(accuracy)


def test_one_model_is_what_a_run_comes_to(compared, experiment):
    run, data = (dataclasses.replace(part, seed=4) for part in (experiment.run, experiment.data))
    single = mmjax.train(dataclasses.replace(experiment, run=run, data=data), quiet=True)
    accuracy = single.evaluations["val"]["heads"]["label"]["accuracy"]["value"]
    assert compared[0]["models"]["bottleneck"]["seeds"]["accuracy"][1] == pytest.approx(accuracy, abs=1.5 / 40)


def test_it_goes_on_where_it_was(compared, experiment, tmp_path, monkeypatch):
    real, trained = trial.run, []

    def counted(entry, *args, **kwargs):
        trained.append(entry.name)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(entry, *args, **kwargs)

    monkeypatch.setattr(trial, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        mmjax.compare(experiment, workdir=tmp_path / "c", **OPTIONS)
    assert not (tmp_path / "c/compare.json").exists()
    found = mmjax.compare(experiment, workdir=tmp_path / "c", **OPTIONS)
    assert trained == ["a alone", "a calibrated", "b alone", "b alone", "b calibrated", "bottleneck", "late"]
    assert timeless(found) == timeless(compared[0])
    mmjax.compare(experiment, workdir=tmp_path / "c", **OPTIONS)
    assert len(trained) == 7
    more = mmjax.compare(experiment, workdir=tmp_path / "c", **OPTIONS | {"fusions": ("late", "joint")})
    assert trained[7:] == ["joint"] and "joint" in more["models"]


def test_it_stops_when_asked(experiment, tmp_path, monkeypatch):
    class Wish(signals.Wish):
        asked = iter([0, signal.SIGTERM, signal.SIGTERM])
        signum = property(lambda self: next(self.asked), lambda self, value: None)

    monkeypatch.setattr(run, "Wish", Wish)
    with pytest.raises(Interrupted, match=f"SIGTERM after step 4 of 'a alone'; .*--workdir {tmp_path}") as stop:
        mmjax.compare(experiment, workdir=tmp_path, **OPTIONS)
    assert stop.value.status == 143


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"seeds": 3}, r"was begun with seeds=\[3, 4\], now \[3, 4, 5\]; choose another --workdir"),
        ({"run": {"steps": 5}}, "experiment.run.steps=4, now 5"),
        ({"data": {"rows": 61}}, "experiment.data.rows=60, now 61"),
    ],
)
def test_another_comparison_is_refused(compared, experiment, changes, told):
    options = OPTIONS | {name: value for name, value in changes.items() if name == "seeds"}
    for name in ("run", "data"):
        changed = dataclasses.replace(getattr(experiment, name), **changes.get(name, {}))
        experiment = dataclasses.replace(experiment, **{name: changed})
    before = (compared[1] / "compare.json").read_bytes()
    with pytest.raises(UserError, match=told):
        mmjax.compare(experiment, workdir=compared[1], **options)
    assert (compared[1] / "compare.json").read_bytes() == before


def test_other_folders_are_left_alone(compared, experiment, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty and not the folder of a comparison"):
        mmjax.compare(experiment, workdir=tmp_path, **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    copy = tmp_path / "copy"
    shutil.copytree(compared[1], copy)
    file = copy / "models/late.npz"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"late.npz is damaged .*; remove it"):
        mmjax.compare(experiment, workdir=copy, **OPTIONS)


def test_a_model_that_diverges_is_told_and_the_others_go_on(compared, experiment, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    shutil.copytree(compared[1], folder)
    (folder / "models/late.npz").unlink()
    monkeypatch.setattr(
        trial.several, "train", lambda *args, **options: (_ for _ in ()).throw(FloatingPointError("loss is nan"))
    )
    found = mmjax.compare(experiment, workdir=folder, **OPTIONS | {"quiet": False})
    assert found["models"]["late"]["failed"] == "loss is nan" and list(found["models"])[-1] == "late"
    assert found["best"]["name"] == "bottleneck" and "failed: loss is nan" in (folder / "compare.html").read_text()
    for path in (folder / "models").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="every model failed; the first: loss is nan"):
        mmjax.compare(experiment, workdir=folder, **OPTIONS)


def test_a_fusion_that_does_not_do_is_told_unless_it_was_asked_for(compared, experiment, tmp_path, monkeypatch):
    class Refused(fusion.Late):
        def __call__(self, streams, *, train):
            raise UserError("two streams are too many")

    monkeypatch.setattr(
        candidate,
        "FUSIONS",
        {"bottleneck": candidate.FUSIONS["bottleneck"], "odd": candidate.Candidate(lambda size: Refused())},
    )
    with pytest.raises(UserError, match=r"^odd: two streams are too many"):
        mmjax.compare(experiment, **OPTIONS | {"fusions": ("odd",)})
    folder = tmp_path / "c"
    shutil.copytree(compared[1], folder)
    found = mmjax.compare(experiment, workdir=folder, **OPTIONS | {"fusions": ()})
    assert found["models"]["odd"]["failed"] == "odd: two streams are too many"
    assert not (folder / "models/odd.npz").exists()


@pytest.mark.parametrize(
    "options, told",
    [
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"fusions": ("lat",)}, "there is no fusion 'lat'; did you mean 'late'?"),
        ({"head": "lable"}, "there is no head of one class a row 'lable'; did you mean 'label'?"),
        ({"evaluator": "test"}, "there is no evaluator 'test'; there is val"),
    ],
)
def test_wrong_options_are_told(experiment, options, told):
    with pytest.raises(UserError) as error:
        mmjax.compare(experiment, **OPTIONS | options)
    assert told in str(error.value)


def test_what_cannot_be_compared_is_told(experiment):
    model = experiment.model
    one = model.clone(encoders={"a": model.encoders["a"]})
    with pytest.raises(UserError, match="two modalities or more; the model encodes a"):
        plan(dataclasses.replace(experiment, model=one), seeds=1)
    with pytest.raises(UserError, match="no evaluator, so there is nothing to compare on"):
        plan(dataclasses.replace(experiment, evaluators={}), seeds=1)
    with pytest.raises(UserError, match="a model that is a Multimodal"):
        plan(dataclasses.replace(experiment, model=model.encoders["a"]), seeds=1)
    wide = model.clone(heads={"label": model.heads["label"].clone(classes=5)})
    with pytest.raises(UserError, match=r"a alone: model.heads.label.classes=5"):
        mmjax.compare(dataclasses.replace(experiment, model=wide), **OPTIONS)
