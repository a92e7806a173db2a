"""Models that talk, from a manifest to answers in words."""

import json

import numpy as np
import PIL.Image
import pytest

import mmjax
from mmjax import Experiment, datasets, decoders, encoders, fields, metrics, objectives
from mmjax.core import UserError
from mmjax.train import Evaluator, Optim, Run

TINY = {"width": 16, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures that are dark or bright, and questions that need them, but for one that has none."""
    path = tmp_path_factory.mktemp("seen")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(16):
        PIL.Image.fromarray(rng.integers(0, 60, (8, 8), np.uint8) + np.uint8(190 * (i % 2))).save(path / f"{i}.png")
        rows.append({"image": f"{i}.png", "question": "how is it", "answer": ("quite dark", "bright")[i % 2]})
    rows.append({"image": "", "question": "what is it", "answer": "nothing"})
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def experiment(folder, places=4, **options):
    prompt = fields.Prompt("<image>{question}?", places={"image": places}, length=places + 4, reply=3)
    inputs = {"image": fields.Image(size=8, channels=1), "text": prompt}
    data = datasets.Manifest(
        str(folder / "rows.jsonl"), inputs=inputs, targets={"next": fields.Reply(prompt)}, batch=24
    )
    measured = {"answer": metrics.Replies(), "blind": metrics.Replies(without=("image",), figures=("exact_match",))}
    return Experiment(
        model=decoders.Talker(
            encoders={"image": encoders.Image(width=16, depth=0, patch=4, convolutions=0)},
            bridges={"image": decoders.Projector(16)},
            decoder=decoders.GPT(vocabulary=14, length=16, **TINY),
        ),
        data=data,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(data, metrics=measured)},
        optim=Optim(lr=2e-2, warmup=5),
        run=Run(steps=60, log_every=60),
    )


def test_a_picture_is_asked_about(folder):
    result = mmjax.train(experiment(folder), workdir=folder / "run", quiet=True)
    found = result.evaluations["val"]["heads"]
    assert found["answer"]["exact_match"]["value"] == 1.0
    assert found["blind"]["exact_match"]["value"] <= 9 / 17 + 1e-6
    predictor = mmjax.predict.Predictor.load(folder / "run")
    answers = list(predictor(str(folder / "rows.jsonl")))
    assert [one["heads"]["next"]["value"] for one in answers] == ["quite dark", "bright"] * 8 + ["nothing"]
    assert answers[-1]["missing"] == ["image"]
    (one,) = predictor(image=str(folder / "3.png"), text="how is it")
    assert one["heads"]["next"]["value"] == "bright"


def test_places_must_be_as_many_as_tokens(folder):
    with pytest.raises(UserError, match="has 3 places for 'image', but the model makes 4 tokens of it"):
        mmjax.train(experiment(folder, places=3), quiet=True)
