"""A folder of small recordings, a recipe that learns from them, and a run of it."""

import json
import wave

import numpy as np
import PIL.Image
import pytest

from mmjax import cli

RECIPE = '''"""Things."""
from mmjax import Multimodal, datasets, encoders, fields, fusion, heads, objectives
from mmjax.train import Evaluator, Experiment, Optim, Run

INPUTS = {
    "image": fields.Image(),
    "sound": fields.Audio(rate=8000),
    "note": fields.Text(),
    "facts": fields.Table(numbers=("age",), categories=("organ",)),
}


def config() -> Experiment:
    """Is the thing red or blue?"""
    small = {"width": 8, "depth": 0, "heads": 2}
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(patch=4, convolutions=0, **small),
                "sound": encoders.Audio(rate=8000, convolutions=0, **small),
                "note": encoders.Text(vocabulary=32, **small),
                "facts": encoders.Table(cardinalities=(0, 3), **small),
            },
            fusion=fusion.Late(width=8),
            heads={"label": heads.Classify(classes=2)},
        ),
        data=datasets.Manifest("train.csv", label="label", inputs=INPUTS, batch=8),
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(datasets.Manifest("val.csv", label="label", inputs=INPUTS, batch=8))},
        optim=Optim(lr=3e-2),
        run=Run(steps=4, log_every=2),
    )
'''
HEADER = "id,image,sound,note,age,organ,label"


def picture(path, seed):
    PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)).save(path)


def recording(path, seed):
    samples = (3000 * np.random.default_rng(seed).standard_normal(1600)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())


def line(i):
    return f"{i},pictures/{i}.png,{i}.wav,{['a red thing', 'the blue one'][i % 2]},{20 + i},{['chest', 'head'][i % 2]},{['red', 'blue'][i % 2]}"  # noqa: E501


def make(folder):
    """Sixteen rows to train on, eight to measure on, and the recipe."""
    (folder / "pictures").mkdir()
    for i in range(24):
        picture(folder / f"pictures/{i}.png", i)
        recording(folder / f"{i}.wav", i)
    for name, rows in (("train", range(16)), ("val", range(16, 24))):
        (folder / f"{name}.csv").write_text("\n".join([HEADER, *map(line, rows)]) + "\n")
    (folder / "recipe.py").write_text(RECIPE)
    return folder


@pytest.fixture
def things(tmp_path, monkeypatch):
    """The folder, fresh and the current one, to be spoilt at will."""
    monkeypatch.chdir(make(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run of the recipe, not to be changed."""
    folder = make(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", "recipe.py", "--workdir", "run"]) == 0
    return folder / "run"


@pytest.fixture
def say(capsys):
    """``say("train", "recipe.py")`` -> (status, JSON lines on standard output, standard error)."""

    def command(*words):
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, [json.loads(text) for text in out.splitlines()], err

    return command
