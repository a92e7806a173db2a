"""Answers drawn from the weights that are trained, what they are rewarded, and runs that go on bit for bit."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmjax
from mmjax import datasets, decoders, encoders, fields, objectives, tokenizers
from mmjax.core import Batch, Signal, UserError, plain
from mmjax.generate import Choice, Pairs, Rewarded, Rollout, reward
from mmjax.generate.sampling import Sampler, answered, asked
from mmjax.metrics.reply import replies
from mmjax.train import Constant, Evaluator, Experiment, Optim, Run

PROMPT = fields.Prompt("{sum}", length=2, reply=2)
SUMS = {"inputs": {"text": PROMPT}, "targets": {"next": fields.Reply(PROMPT)}}
GPT = decoders.GPT(vocabulary=22, length=3, width=8, depth=1, heads=2)
LEARNED = {
    "group": {"policy": objectives.Policy(toll=0.04)},
    "likeliest": {"policy": objectives.SelfCritical()},
    "value": {"policy": objectives.Policy(average="word"), "value": objectives.Values()},
    "pictures": {"policy": objectives.Policy(toll=0.04)},
}
SEEN = fields.Prompt("<image>", places={"image": 2}, length=3, reply=1)
SIGHTS = {
    "pictures": True,
    "inputs": {"image": fields.Image(size=(8, 16), channels=1, background=0), "text": SEEN},
    "targets": {"next": fields.Reply(SEEN)},
}
SEEING = decoders.Talker({"image": encoders.Image(width=8, depth=0, patch=8, convolutions=0)}, GPT)


def experiment(against, *, steps=4, **run):
    group = against in ("group", "pictures")
    return Experiment(
        model={"value": decoders.Valued(GPT), "pictures": SEEING}.get(against, GPT),
        data=datasets.Sums(batch=8, **(SIGHTS if against == "pictures" else SUMS)),
        objectives=LEARNED[against],
        optim=Optim(lr=1e-2, schedule=Constant()),
        run=Run(steps=steps, log_every=1, **run),
        rollout=Rollout(reward.Exact(), group=4, against="group" if group else against, reference=group),
    )


def told(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


@pytest.mark.parametrize("against", LEARNED)
def test_a_killed_run_goes_on_bit_for_bit(against, tmp_path, monkeypatch):
    whole = mmjax.train(experiment(against), workdir=tmp_path / "straight", quiet=True)
    right, calls = reward.Exact.__call__, iter(range(10**6))

    def failing(self, *texts):
        if next(calls) >= 3 * (32 + 8 * (against == "likeliest")):
            raise MemoryError("killed in the fourth step")
        return right(self, *texts)

    monkeypatch.setattr(reward.Exact, "__call__", failing)
    with pytest.raises(MemoryError):
        mmjax.train(experiment(against, save_every=2), workdir=tmp_path / "killed", quiet=True)
    monkeypatch.undo()
    again = mmjax.train(experiment(against), workdir=tmp_path / "killed", quiet=True)
    jax.tree.map(np.testing.assert_array_equal, again.weights, whole.weights)
    straight, killed = told(tmp_path / "straight"), told(tmp_path / "killed")
    assert straight[4]["reward"] == killed[4]["reward"] and straight[4]["loss"] == killed[4]["loss"]
    assert 0 <= straight[1]["reward"] <= 1 and 1 <= straight[1]["words"] <= 2
    if against != "likeliest":
        assert straight[1]["divergence"] == 0 != straight[4]["divergence"]
    made = experiment(against)
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(made)))) == made


EYE = encoders.Image(width=6, depth=0, patch=2, convolutions=0)  # two tokens of a picture of 2 by 4
LOOKING = decoders.Talker({"image": EYE}, decoders.GPT(11, length=8, width=8, depth=2, heads=2), bridges={})


@pytest.mark.parametrize("model", [LOOKING.decoder, LOOKING], ids=["words", "picture"])
def test_the_likeliest_words_are_those_of_the_uncached_model(model):
    rng = np.random.default_rng(0)
    if model is LOOKING:
        model = model.clone(bridges={"image": decoders.Projector(8)})
    ids, lengths = rng.integers(0, 11, (4, 7)).astype(np.int32), np.array([3, 5, 2, 4])
    ids[:, :2] = -1 if model.length and hasattr(model, "encoders") else ids[:, :2]
    text = asked(Signal(ids, np.ones(ids.shape, bool)), lengths)
    inputs = {"text": jax.tree.map(jnp.asarray, text)}
    if hasattr(model, "encoders"):
        picture = jnp.asarray(rng.normal(size=(4, 2, 4, 1)), jnp.float32)
        inputs["image"] = Signal(picture, jnp.asarray([[True], [True], [False], [True]]))
    made = model.init(jax.random.key(0), inputs, train=False)
    made = jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32), made)

    def apply(given):
        return model.apply(made, given, train=False)

    wanted, _ = jax.jit(lambda i: replies(apply, i, stream="text", head="next", tokens=3, end=4))(inputs)
    sampler = Sampler(model, 3, 4)
    found = np.asarray(jax.jit(lambda i: sampler(made, i, jax.random.key(0), Choice(temperature=0)))(inputs))
    np.testing.assert_array_equal(np.where(found == 4, -1, found), wanted)


def test_words_are_drawn_by_their_probability():
    model = decoders.GPT(5, length=4, width=8, depth=1, heads=2)
    text = Signal(jnp.tile(jnp.asarray([[1, 2, 0, 0]]), (2000, 1)), jnp.tile(jnp.arange(4) < 2, (2000, 1)))
    made = model.init(jax.random.key(0), {"text": text}, train=False)
    made = jax.tree.map(lambda leaf: leaf + 0.3, made)
    out = model.apply(made, {"text": jax.tree.map(lambda leaf: leaf[:1], text)}, train=False).heads["next"]
    shares = jax.nn.softmax(out.features[0, 1] @ out.kernel)
    sampler = Sampler(model, 2, -1)
    said = jax.jit(lambda text: sampler(made, {"text": text}, jax.random.key(1), Choice()))(text)
    np.testing.assert_allclose(np.bincount(said[:, 0], minlength=5) / 2000, shares, atol=0.05)
    assert len(np.unique(said[:, 1])) == 5


def test_answers_stand_where_truths_would():
    schema = datasets.Sums(batch=8, **SUMS).fit()
    batch = datasets.Sums(batch=8, **SUMS).open(schema).batch(range(40, 48))
    tokenizer = schema.targets["next"].tokenizer
    said = np.array([[*tokenizer.plain(str(4 + i)), tokenizer.end] for i in range(8)], np.int32)
    prompts = {"text": jax.tree.map(jnp.asarray, asked(batch.inputs["text"], np.full(8, 2)))}
    found = answered(Batch(prompts, {}), jnp.asarray(said), stream="text", target="next")
    jax.tree.map(np.testing.assert_array_equal, found, batch)
    said[:, 1] = -1  # cut off before its end
    found = answered(Batch(prompts, {}), jnp.asarray(said), stream="text", target="next")
    np.testing.assert_array_equal(found.targets["next"].mask.sum(axis=1), 1)
    np.testing.assert_array_equal(found.inputs["text"].mask.sum(axis=1), 2)


def test_rewards_are_plain_functions():
    assert reward.Exact()("3+4=", " Seven", "seven") == 1 != reward.Exact()("3+4=", "8", "7")
    assert reward.Number()("", "3 and 4 make 7", "7.0") == 1 and reward.Number()("", "none", "7") == 0
    assert reward.Share("!?")("", "a!b?", "") == 0.5 and reward.Share("!", sign=-1)("", "", "") == 0
    assert reward.Length(scale=2, sign=-1)("", "four", "") == -2


def test_what_cannot_be_is_said():
    with pytest.raises(UserError, match=r"rollout\.against='luck' must be one of"):
        Rollout(reward.Exact(), against="luck")
    with pytest.raises(UserError, match=r"rollout\.group=1 must be 2 or more"):
        Rollout(reward.Exact(), group=1)
    short = dataclasses.replace(experiment("group"), rollout=Rollout(reward.Exact(), words=9, reference=True))
    with pytest.raises(UserError, match=r"a prompt of 2 and rollout\.words=9 are more than the 4 tokens of a row"):
        mmjax.train(short, quiet=True)
    without = dataclasses.replace(experiment("group"), rollout=None)
    with pytest.raises(UserError, match="wants target 'advantage', as a rollout gives"):
        mmjax.train(without, quiet=True)


WRITTEN = "shall we go home, said the cat! no, said the dog. yes! " * 12


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "text.txt").write_text(WRITTEN)
    return datasets.Texts(str(tmp_path / "text.txt"), tokenizers.Characters(), length=12, batch=8)


def liking(texts, **fields):
    asked = {"prompt": 5, "words": 8}
    return Experiment(
        model=decoders.GPT(vocabulary=len(set(WRITTEN)) + 2, length=12, width=8, depth=1, heads=2, positions="rotary"),
        data=texts,
        objectives={"preference": objectives.Preference(beta=1.0)},
        evaluators={"val": Evaluator(texts, metrics={"next": Rewarded(reward.Share("ao"), **asked)})},
        optim=Optim(lr=1e-2, schedule=Constant()),
        run=Run(steps=30, log_every=1),
        rollout=Pairs(reward.Share("ao"), **asked, **fields),
    )


def test_pairs_teach_what_is_liked(texts, tmp_path):
    made = liking(texts)
    found = mmjax.train(made, workdir=tmp_path / "run", quiet=True)
    lines = told(tmp_path / "run")
    assert lines[1]["divergence"] == lines[1]["apart"] == 0 and lines[1]["loss"] == pytest.approx(np.log(2))
    assert np.mean([lines[step]["apart"] for step in range(21, 31)]) > 0.5 and 0 < lines[30]["pairs"] <= 1
    figures = found.evaluations["val"]["heads"]["next"]
    assert figures["count"] == (len(WRITTEN) - 1) // 12
    for name in ("reward", "preferred"):
        assert 0 <= figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"] <= 1
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(made)))) == made


def test_pairs_of_a_run_that_stopped_are_those_of_one_that_did_not(texts, tmp_path):
    def weights(steps, name):
        made = dataclasses.replace(liking(texts), run=Run(steps=steps, log_every=1), evaluators={})
        return mmjax.train(made, workdir=tmp_path / name, quiet=True).weights

    whole = weights(4, "whole")
    weights(2, "halves")
    jax.tree.map(np.testing.assert_array_equal, weights(4, "halves"), whole)
    assert told(tmp_path / "halves")[4]["apart"] == told(tmp_path / "whole")[4]["apart"] != 0


def test_the_better_answer_stands_first_and_ties_are_out(texts):
    made = liking(texts)
    schema = texts.fit()
    tokenizer = schema.targets["next"].tokenizer
    act = made.rollout.open(made.model, schema, lambda tree: jax.tree.map(jnp.asarray, tree))
    inputs = jax.tree.map(jnp.asarray, made.rollout.example(schema.example(8)))
    weights = made.model.init(jax.random.key(0), inputs.inputs, train=False)
    batch, figures = act(weights, weights, texts.open(schema).batch(range(8)), key=jax.random.key(1), step=jnp.int32(0))
    jax.tree.map(lambda a, b: np.testing.assert_equal((a.shape, a.dtype), (b.shape, b.dtype)), batch, inputs)
    follows, pairs = batch.targets["next"], 0
    for ids, mask, segments in zip(follows.values, follows.mask, follows.segments, strict=True):
        answers = [tokenizer.decode(np.asarray(ids[mask & (segments == n)]).tolist()) for n in (1, 2)]
        better, worse = (made.rollout.reward("", answer, "") for answer in answers)
        assert better > worse or not any(answers)
        pairs += better > worse
    assert 0 < figures["pairs"] == pairs / 8 < 1
    text = batch.inputs["text"]
    assert np.array_equal(text.positions[0], [*range(12), *range(12)]) and np.all(text.segments[text.mask] > 0)
