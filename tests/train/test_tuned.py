"""A decoder that learned texts, put to other work by the same loop."""

import dataclasses
import itertools
import json

import pytest

import mmjax
from mmjax import Experiment, datasets, decoders, fields, heads, metrics, objectives, tokenizers, zoo
from mmjax.core import UserError
from mmjax.train import Evaluator, Optim, Run

LETTERS = tokenizers.Bytes()
SIZE = 260  # bytes, their end as the start, a delimiter and an extract
OPTIM = Optim(lr=1e-2, warmup=10)


def decoder():
    return zoo.gpt1.model(vocabulary=SIZE, length=12, width=32, depth=1, heads=2, dropout=0.0)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A decoder that learned a text, and pairs of letters: whether one is a d, and which is the later."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "text.txt").write_text("abc abd acd bcd " * 20, encoding="utf-8")
    experiment = Experiment(
        model=decoder(),
        data=datasets.Texts(str(folder / "text.txt"), LETTERS, length=12, batch=8),
        objectives={"next": objectives.CrossEntropy("next")},
        optim=OPTIM,
        run=Run(steps=20, log_every=20),
    )
    mmjax.train(experiment, workdir=folder / "begun", quiet=True)
    rows = [
        {
            "one": one,
            "other": other,
            "has": ("no", "yes")["d" in (one, other)],
            "later": "one" if one > other else "other",
        }
        for one, other in itertools.permutations("abcde", 2)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


TASKS = {
    "similarity": ((("one", "other"), ("other", "one")), "has", heads.Extract(2, readings=2, dropout=0.0)),
    "choice": ((("one",), ("other",)), "later", heads.Choose(2, dropout=0.0)),
}


def experiment(folder, task, **changes):
    ways, column, head = TASKS[task]
    text = fields.Readings(ways, LETTERS)
    data = datasets.Manifest(
        str(folder / "rows.jsonl"),
        inputs={"text": text},
        targets={"label": fields.Class(column), "next": fields.Follows(text)},
        batch=16,
    )
    measured = {"label": metrics.Classification("label"), "next": metrics.Language("next")}
    return Experiment(
        model=decoders.Tuned(decoder(), {"label": head}),
        data=data,
        objectives={"label": objectives.CrossEntropy("label"), "next": objectives.CrossEntropy("next", weight=0.5)},
        evaluators={"val": Evaluator(data, metrics=measured)},
        optim=OPTIM,
        run=Run(steps=80, log_every=80),
        init_from=str(folder / "begun"),
        **changes,
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_learned_from_what_was_learned(begun, task, capsys):
    result = mmjax.train(experiment(begun, task), workdir=begun / task)
    assert f"{2 if task == 'similarity' else 1} new, 0 left" in capsys.readouterr().err  # the head's own alone
    found = result.evaluations["val"]["heads"]
    assert found["label"]["accuracy"]["value"] == 1.0
    assert found["next"]["perplexity"]["value"] < 4  # of 261 words
    rows = [json.loads(line) for line in (begun / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = list(mmjax.predict.Predictor.load(begun / task)(str(begun / "rows.jsonl")))
    assert [one["heads"]["label"]["value"] for one in answers] == [row[TASKS[task][1]] for row in rows]
    assert "next" not in answers[0]["heads"]


def test_a_decoder_without_room_for_the_new_words_is_told(begun):
    whole = experiment(begun, "choice")
    small = whole.model.clone(decoder=decoder().clone(vocabulary=258))
    with pytest.raises(UserError, match="vocabulary=258, but the training data has 260 entries"):
        mmjax.train(dataclasses.replace(whole, model=small), quiet=True)
