"""Two pictures in one text, by one encoder, from a manifest to answers in words."""

import itertools
import json

import numpy as np
import PIL.Image

import mmjax
from mmjax import Experiment, datasets, decoders, encoders, fields, metrics, objectives
from mmjax.train import Evaluator, Optim, Run

LEVELS = {"dark": 30, "bright": 220}
QUESTION = "tell <image> from <second>:"


def manifest(folder):
    """Each picture told in turn; the second, with whose place the prompt ends, may be missing."""
    for name, level in LEVELS.items():
        PIL.Image.fromarray(np.full((8, 8), level, np.uint8)).save(folder / f"{name}.png")
    rows = [
        {
            "image": f"{one}.png",
            "second": other and f"{other}.png",
            "answer": f"{one} {other or 'alone'}",
        }
        for one, other in itertools.product(LEVELS, (*LEVELS, ""))
    ]
    (folder / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_two_pictures_of_one_encoder_are_told_wherever_they_stand_in_the_text(tmp_path):
    rows = manifest(tmp_path)
    prompt = fields.Prompt(QUESTION, places={"image": 1, "second": 1}, length=5, reply=3)
    pictures = {name: fields.Image(size=8, channels=1, mean=(90.0,), std=(60.0,)) for name in ("image", "second")}
    inputs, targets = {**pictures, "text": prompt}, {"next": fields.Reply(prompt)}
    data = datasets.Manifest(str(tmp_path / "two.jsonl"), inputs=inputs, targets=targets, batch=8)
    experiment = Experiment(
        model=decoders.Talker(
            encoders={"image": encoders.Image(width=16, depth=0, patch=8, convolutions=0)},
            bridges={"image": decoders.Projector(16)},
            alike={"second": "image"},
            decoder=decoders.GPT(vocabulary=10, length=8, width=16, depth=1, heads=2, stddev=0.2, position_stddev=0.5),
        ),
        data=data,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(data, metrics={"answer": metrics.Replies()})},
        optim=Optim(lr=2e-2, warmup=5),
        run=Run(steps=60, log_every=60),
    )
    result = mmjax.train(experiment, workdir=tmp_path / "run", quiet=True)
    assert result.evaluations["val"]["heads"]["answer"]["exact_match"]["value"] == 1.0
    answers = list(mmjax.predict.Predictor.load(tmp_path / "run")(str(tmp_path / "two.jsonl")))
    assert [one["heads"]["next"]["value"] for one in answers] == [row["answer"] for row in rows]
    generator = mmjax.generate.Generator.load(tmp_path / "run")
    given = {"image": str(tmp_path / "bright.png"), "second": str(tmp_path / "dark.png")}
    (said,) = generator(QUESTION, tokens=3, how=mmjax.generate.Choice(temperature=0), given=given)
    assert (said.text, said.ended) == ("bright dark", "end")
