"""Every recipe runs: it trains for two steps, is evaluated, leaves a run folder, and answers from it."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmjax
from mmjax import datasets, decoders
from mmjax.cli import recipe
from mmjax.core import plain
from mmjax.data.datasets.fold import Fold
from mmjax.data.datasets.strung import Strung
from mmjax.data.sources.place import shared
from mmjax.train.folder import Folder
from tools import sharding

RECIPES = sorted(Path(__file__).parents[1].glob("experiments/*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_runs_and_its_folder_answers(path, tmp_path, monkeypatch):
    experiment = recipe.load(str(path)).experiment
    source = getattr(experiment.data, "path", None)
    if source == "av_mnist.npz" and (shared() / "make_av_mnist.py").is_file():
        monkeypatch.setenv("MMJAX_DATA", os.path.abspath(shared()))
        monkeypatch.chdir(tmp_path)
        make_av_mnist(tmp_path)
    elif source is not None and not (shared() / source).is_file():
        pytest.skip(f"{source} is not under {shared()}; set MMJAX_DATA to the shared recordings")
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(experiment)))) == experiment
    run = dataclasses.replace(experiment.run, steps=2, log_every=1, save_every=0, evaluate_every=0)
    optim = dataclasses.replace(experiment.optim, warmup=0)
    batch = -(-experiment.data.batch // 8) * 8  # of which each of the tests' devices has a part
    model, evaluators = experiment.model, experiment.evaluators
    if isinstance(model, decoders.GPT | decoders.Valued):  # whose layers are alike and whose rows are long and many
        shallow = {"decoder": model.decoder.clone(depth=1)} if isinstance(model, decoders.Valued) else {"depth": 1}
        model, batch = model.clone(**shallow), 8
        evaluators = {name: end_of(evaluator) for name, evaluator in evaluators.items()}
    elif isinstance(experiment.data, datasets.Texts):
        evaluators = {name: end_of(evaluator) for name, evaluator in evaluators.items()}
    if any(isinstance(evaluator.data, Strung) for evaluator in evaluators.values()):
        evaluators = {name: some_of(evaluator) for name, evaluator in evaluators.items()}
    elif isinstance(model, decoders.Talker):  # its answers are asked for word by word
        evaluators = {name: few_of(evaluator) for name, evaluator in evaluators.items()}
    evaluators = {
        name: probed(evaluator) if evaluator.reference else fewer(evaluator) for name, evaluator in evaluators.items()
    }
    data = dataclasses.replace(experiment.data, batch=batch)
    if isinstance(data, Strung):  # of which there are as many strings as one likes
        data = dataclasses.replace(data, rows=64)
    fields = {"model": model, "run": run, "optim": optim, "data": data, "evaluators": evaluators}
    short = dataclasses.replace(experiment, **fields, init_from="")  # of a run that is not here
    result = mmjax.train(short, workdir=tmp_path / "run", quiet=True)

    assert result.step == 2 and result.evaluations
    for evaluation in result.evaluations.values():
        for found in evaluation["heads"].values():
            if "bits_per_byte" in found:  # of a text, whose letters are at first all as likely
                assert 0 < found["loss"]["low"] <= found["loss"]["value"] <= found["loss"]["high"] < 5
                continue
            if "perplexity" in found:  # of words that are hidden
                assert 0 <= found["accuracy"]["low"] <= found["accuracy"]["high"] <= 1 < found["perplexity"]["low"]
                assert found["majority"]["answer"] and found["count"] > 0
                continue
            if "exact_match" in found:  # of answers in words
                assert 0 <= found["exact_match"]["low"] <= found["exact_match"]["high"] <= 1
                assert found["count"] == evaluation["count"] and found.get("majority", {"answer": "none"})["answer"]
                continue
            if "preferred" in found:  # of answers that are rewarded
                assert 0 <= found["preferred"]["low"] <= found["preferred"]["high"] <= 1
                continue
            if "recall_at_1" in found:
                assert 0 <= found["recall_at_1"]["value"] <= found["recall_at_10"]["value"] <= 1
                continue
            accuracy = found["accuracy"]
            assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
            assert found["count"] == evaluation["count"] == np.sum(found["confusion"]["matrix"])
    golden = sharding.GOLDENS / f"{path.stem}.txt"
    told = "python tools/sharding.py writes it anew"
    assert sharding.text(experiment, Folder(tmp_path / "run").schema()) == golden.read_text("utf-8"), told
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["step"] == 2 and (tmp_path / "run" / "report.html").stat().st_size > 10_000

    if isinstance(experiment.model, decoders.GPT | decoders.Valued):
        (said,) = mmjax.generate.Generator.load(tmp_path / "run")("KING:", tokens=5)
        assert said.tokens == 5 or said.ended == "end"
        return
    evaluator = next(iter(experiment.evaluators.values()))
    if isinstance(evaluator.data, datasets.Texts):  # whose rows have no cells to answer for
        return
    rows = evaluator.data.source().rows[:3]
    predictor = mmjax.predict.Predictor.load(tmp_path / "run")
    folder = rows[0].folder
    cells = [{c: _absolute(v, folder) for c, v in row.cells.items()} for row in rows]
    answers = list(predictor(cells))
    assert [answer["row"] for answer in answers] == [0, 1, 2] and all(not answer["missing"] for answer in answers)
    for answer in answers:
        for head in answer["heads"].values():
            if isinstance(head["value"], str) and head["probabilities"] is None:  # words
                assert 0 < head["probability"] <= 1
                continue
            assert head["probability"] == pytest.approx(max(head["probabilities"].values()))
    if isinstance(experiment.model, decoders.Talker) and isinstance(experiment.data, Strung):
        speak = mmjax.generate.Generator.load(tmp_path / "run")
        (said,) = speak("", tokens=3, given={"audio": [cells[0]["audio"]]})
        assert said.tokens == 3 or said.ended == "end"


def few_of(evaluator):
    """The evaluator over a fortieth of its rows."""
    fold = {"fold": Fold(count=40, held_out=True)} if hasattr(evaluator.data, "fold") else {}
    data = dataclasses.replace(evaluator.data, **fold, batch=16)
    return dataclasses.replace(evaluator, data=data)


def fewer(evaluator):
    """The evaluator over an eighth of its rows, or some dozens, in batches that are not mostly padding."""
    data = evaluator.data
    fold = {"fold": Fold(count=8, held_out=True)} if getattr(data, "fold", False) is None else {}
    rows = {"rows": min(data.rows, 64)} if getattr(data, "rows", 0) else {}
    return dataclasses.replace(evaluator, data=dataclasses.replace(data, **fold, **rows, batch=min(data.batch, 64)))


def some_of(evaluator):
    """The evaluator over a few strings."""
    return dataclasses.replace(evaluator, data=dataclasses.replace(evaluator.data, rows=16, batch=16))


def probed(evaluator):
    """The evaluator with a twentieth of its rows, and of those that its probes learn from."""
    fold = datasets.Fold(20, held_out=True, evenly=evaluator.data.label)
    data, reference = (dataclasses.replace(rows, fold=fold) for rows in (evaluator.data, evaluator.reference))
    return dataclasses.replace(evaluator, data=data, reference=reference)


def end_of(evaluator):
    """The evaluator over the last hundredth of its text, if it is one, in batches of 8."""
    part = {"part": (0.99, 1.0)} if hasattr(evaluator.data, "part") else {}
    data = dataclasses.replace(evaluator.data, **part, batch=8)
    return dataclasses.replace(evaluator, data=data)


def make_av_mnist(folder, rows=100):
    """The arrays of so many rows, as the recipe tells to make them of all."""
    source = folder / "source"
    source.mkdir()
    for name in ("images", "audio"):
        (source / name).symlink_to(shared() / "av_digits" / name)
    for name in ("train.csv", "val.csv"):
        lines = (shared() / "av_digits" / name).read_text().splitlines(keepends=True)
        (source / name).write_text("".join(lines[: rows + 1]))
    command = [sys.executable, shared() / "make_av_mnist.py", source, folder / "av_mnist.npz", "train", "val"]
    subprocess.run(command, check=True, capture_output=True)


def _absolute(cell, folder):
    if folder is not None and isinstance(cell, str) and (Path(folder) / cell).is_file():
        return str(Path(folder) / cell)
    return cell
