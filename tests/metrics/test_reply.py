"""Answers that a model gives word by word, and what they are worth."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmjax
from mmjax import Experiment, datasets, decoders, fields, metrics, objectives
from mmjax.core import Outputs, Signal, Tokens, UserError
from mmjax.generate import Choice, Decoder
from mmjax.train import Evaluator, Optim, Run

TINY = {"length": 24, "width": 16, "depth": 1, "heads": 2}
GROUPS = {"red": "closed", "blue": "closed", "a big thing": "open", "nothing": "open"}
PROMPT = fields.Prompt("say {colour} {answer_to}:", "{answer}", length=6, reply=4)
REPLY = fields.Reply(PROMPT, by="kind", together="colour")


def manifest(folder, name, rows):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return datasets.Manifest(str(folder / name), inputs={"text": PROMPT}, targets={"next": REPLY}, batch=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that learned by heart what to answer, with its evaluation."""
    folder = tmp_path_factory.mktemp("talk")
    words = dict(zip(("w", "x", "y", "z"), GROUPS, strict=True))
    rows = [
        {"colour": f"c{i % 3}", "answer_to": key, "answer": words[key], "kind": GROUPS[words[key]]}
        for i in range(3)
        for key in words
    ]
    rows += rows[:1] * 2  # so that "red" is the commonest
    train = manifest(folder, "train.jsonl", rows)
    # One row has no answer, and the last batch is not full.
    val = manifest(folder, "val.jsonl", [*rows, {"colour": "c0", "answer_to": "w", "kind": "closed"}, *rows[:2]])
    experiment = Experiment(
        model=decoders.GPT(vocabulary=19, **TINY),
        data=train,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(val, metrics={"next": metrics.Language("next"), "answer": metrics.Replies()})},
        optim=Optim(lr=2e-2, warmup=5),
        run=Run(steps=150, log_every=150),
    )
    return folder, mmjax.train(experiment, workdir=folder / "run", quiet=True)


def test_answers_are_counted_once_by_group_beside_the_majority(run):
    found = run[1].evaluations["val"]["heads"]["answer"]
    assert found["count"] == 16 and run[1].evaluations["val"]["count"] == 17
    assert found["exact_match"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["rouge_l"]["value"] == 1 and found["word_error_rate"]["value"] == 0
    assert found["majority"]["answer"] == "red" and found["majority"]["value"] == pytest.approx(6 / 16)
    groups = found["per_group"]
    assert {name: own["support"] for name, own in groups.items()} == {"closed": 10, "open": 6}
    assert groups["open"]["majority"]["answer"] == "a big thing"
    assert groups["open"]["majority"]["value"] == pytest.approx(0.5)


def test_intervals_are_over_what_belongs_together(run):
    folder, result = run
    rows = [json.loads(line) for line in (folder / "val.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "answer" in row]
    answers, colours = [row["answer"] for row in rows], [row["colour"] for row in rows]
    red = metrics.sentences(["red"] * 16, answers, figures=("exact_match",), together=colours)["exact_match"]
    majority = result.evaluations["val"]["heads"]["answer"]["majority"]
    assert majority == {**red, "answer": "red"} and majority["low"] == pytest.approx(1 / 4)  # that of c1 and of c2


def test_evaluate_and_predict_say_the_same(run):
    folder, result = run
    val = datasets.Manifest(str(folder / "val.jsonl"), batch=8)
    found = mmjax.evaluate(folder / "run", val)
    assert found["heads"] == result.evaluations["val"]["heads"]
    answers = list(mmjax.predict.Predictor.load(folder / "run", batch=4)(str(folder / "val.jsonl")))
    assert [answer["heads"]["next"]["value"] for answer in answers[:4]] == list(GROUPS)
    assert all(0.5 < answer["heads"]["next"]["probability"] <= 1 for answer in answers)
    # What is asked for is not looked up, even where it is there.
    (one,) = mmjax.predict.Predictor.load(folder / "run")(text={"colour": "c0", "answer_to": "y"})
    assert one["heads"]["next"]["value"] == "a big thing"
    with pytest.raises(UserError, match="text has no column 'answer'"):
        list(mmjax.predict.Predictor.load(folder / "run")(text={"answer": "red"}))


def test_replies_are_those_of_the_cache():
    """Prompts of several lengths at once, as each alone by the cached step."""
    model = decoders.GPT(vocabulary=20, **TINY, stddev=0.5)
    prompts = [[3, 4, 5], [7], [], [2, 3, 4, 5, 6, 7]]
    ids = np.zeros((4, 12), np.int32)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = prompt
    mask = np.arange(12) < np.array([len(prompt) for prompt in prompts])[:, None]
    inputs = {"text": Signal(ids, mask)}
    weights = model.init(jax.random.key(0), inputs, train=False)
    apply = functools.partial(model.apply, weights, train=False)
    own = {"stream": "text", "head": "next", "tokens": 5, "end": 19}
    said, sure = jax.jit(lambda given: metrics.replies(apply, given, **own))(inputs)
    decoder = Decoder(model, weights)
    for own, p, prompt in zip(np.asarray(said), sure, prompts, strict=True):
        if not prompt:
            assert (own == -1).all()
            continue
        state, wanted = decoder.begin([prompt], Choice(temperature=0)), []
        while len(wanted) < 5 and int(state["ids"][0]) != 19:
            wanted.append(int(state["ids"][0]))
            state = decoder.step(state, Choice(temperature=0))
        assert [word for word in own if word >= 0] == wanted
        assert 0 < p <= 1


def test_nothing_after_the_prompt_is_seen():
    """What the batch holds of the answer changes nothing; modalities that are hidden are."""
    seen = []

    class Field:
        prompt = type("P", (), {"reply": 2})
        tokenizer = type("T", (), {"end": 9})

    def apply(inputs):
        seen.append(jax.device_get(inputs))
        text = inputs["text"]
        scores = jax.nn.one_hot(jnp.where(text.mask, text.values, 0) % 10, 10) + 0.0 * inputs["image"].values.sum()
        return Outputs({}, Tokens(scores, text.mask), {"next": scores})

    text = Signal(jnp.array([[3, 4, 7, 7, 0], [5, 0, 0, 0, 0]]), jnp.array([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], bool))
    known = Signal(jnp.zeros((2, 5), jnp.int32), jnp.array([[0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool))
    image = Signal(jnp.ones((2, 1)), jnp.ones((2, 1), bool))
    batch = mmjax.core.Batch({"text": text, "image": image}, {"next": known})
    with jax.disable_jit():
        rows = metrics.Replies(without=("image",)).said(apply, batch, Field)
    np.testing.assert_array_equal(rows.scores, [[4, 4], [5, 5]])
    np.testing.assert_array_equal(rows.mask, [True, False])
    assert seen[0]["text"].mask.sum() == 3 and not seen[0]["image"].mask.any()


def test_other_targets_are_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a text of a few words " * 20)
    data = datasets.Texts(str(path), length=8)
    experiment = Experiment(
        model=decoders.GPT(vocabulary=258, **TINY),
        data=data,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(data, metrics={"answer": metrics.Replies()})},
    )
    with pytest.raises(UserError, match="is for answers to prompts"):
        mmjax.train(experiment, quiet=True)
