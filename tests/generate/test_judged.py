"""Answers that people judged, from a manifest to a policy that prefers the better ones and to a model of rewards."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

import mmjax
from mmjax import datasets, decoders, encoders, fields, metrics, objectives, tokenizers
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError, plain, segments
from mmjax.generate import Judged, Learned, Pairs, Rollout, reward
from mmjax.train import Constant, Evaluator, Experiment, Optim, Run

PROMPT = fields.Prompt("<image>{question}", tokenizer=tokenizers.Characters(), places={"image": 4})
RANKED = fields.Ranked(PROMPT, ("{best}", "{good}", "{bad}"))
TARGETS = {"next": fields.Answers(RANKED)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What is dark is to be called so, and what is bright; the picture alone tells which answer is better."""
    path = tmp_path_factory.mktemp("judged")
    rng, rows = np.random.default_rng(0), []
    for i in range(16):
        PIL.Image.fromarray(rng.integers(0, 60, (8, 8), np.uint8) + np.uint8(190 * (i % 2))).save(path / f"{i}.png")
        best, good = ("dim", "lit")[:: 1 - 2 * (i % 2)]
        rows.append({"image": f"{i}.png", "question": "how?", "best": best, "good": good, "bad": "" if i % 4 else "no"})
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def experiment(folder, objective, *, model=None, targets=TARGETS, **changes):
    inputs = {"image": fields.Image(size=8, channels=1), "text": RANKED}
    data = datasets.Manifest(str(folder / "rows.jsonl"), inputs=inputs, targets=targets, batch=8)
    talker = decoders.Talker(
        encoders={"image": encoders.Image(width=16, depth=0, patch=4, convolutions=0)},
        bridges={"image": decoders.Projector(16)},
        decoder=decoders.GPT(vocabulary=16, length=11, width=16, depth=1, heads=2),
    )
    return Experiment(
        model=talker if model is None else model(talker),
        data=data,
        objectives={"preference": objective},
        evaluators={"val": Evaluator(data)},
        optim=Optim(lr=3e-2, schedule=Constant()),
        run=Run(steps=20, log_every=1),
        **changes,
    )


def told(path):
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


def test_a_policy_prefers_what_people_do(folder, tmp_path):
    made = experiment(folder, objectives.Preference(beta=0.5), rollout=Judged())
    mmjax.train(made, workdir=tmp_path / "run", quiet=True)
    lines = told(tmp_path / "run")
    assert lines[1]["apart"] == 0 and lines[1]["right"] == 0.5 and lines[1]["loss"] == pytest.approx(np.log(2))
    assert lines[20]["right"] == 1 and lines[20]["apart"] > 2 and lines[20]["loss"] < 0.5
    said = mmjax.generate.Generator.load(tmp_path / "run")("how?", tokens=2, given={"image": str(folder / "3.png")})
    assert len(said) == 1
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(made)))) == made


def test_odds_ratios_need_no_reference(folder, tmp_path):
    made = experiment(folder, objectives.Preference(kind="orpo"))
    mmjax.train(made, workdir=tmp_path / "run", quiet=True)
    lines = told(tmp_path / "run")
    assert lines[20]["loss"] < lines[1]["loss"] / 4 and "right" not in lines[1]


def test_a_model_of_rewards_agrees_with_people(folder, tmp_path):
    targets = {"worth": fields.Worth(RANKED)}
    made = experiment(folder, objectives.Ranking(), targets=targets, model=lambda d: decoders.Valued(d, value="reward"))
    found = mmjax.train(made, workdir=tmp_path / "run", quiet=True)
    agreed = found.evaluations["val"]["heads"]["reward"]
    assert agreed["accuracy"]["value"] == 1.0 and agreed["count"] == 12 + 4 * 3  # pairs of two answers, and of three
    again = mmjax.evaluate(tmp_path / "run", datasets.Manifest(str(folder / "rows.jsonl"), batch=4))
    assert again["heads"]["reward"] == agreed


def test_a_model_of_rewards_rewards_answers(folder, tmp_path):
    rows = [{"question": q, "best": q + q, "good": q, "bad": "no"} for q in ("ab", "cd", "ac", "bd")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompt = fields.Prompt("say {question}: ", tokenizer=tokenizers.Characters())
    ranked = fields.Ranked(prompt, RANKED.answers)
    gpt = decoders.GPT(vocabulary=16, length=20, width=16, depth=1, heads=2)
    data = datasets.Manifest(
        str(tmp_path / "rows.jsonl"), inputs={"text": ranked}, targets={"worth": fields.Worth(ranked)}, batch=8
    )
    likes = experiment(folder, objectives.Ranking(), model=lambda _: decoders.Valued(gpt, value="reward"))
    likes = dataclasses.replace(likes, data=data, evaluators={"val": Evaluator(data)})
    result = mmjax.train(likes, workdir=tmp_path / "likes", quiet=True)
    learned = Learned(str(tmp_path / "likes"))
    batch = data.open(data.fit()).batch(range(4))
    heads = jax.jit(lambda inputs: likes.model.apply(result.weights, inputs, train=False).heads)(batch.inputs)
    text = batch.inputs["text"]
    wanted = segments.ends(heads["reward"], text.mask, text.segments, 3)
    for k, name in enumerate(("best", "good", "bad")):
        asked = [f"say {row['question']}: " for row in rows]
        found = learned.many(asked, [row[name] for row in rows], [""] * 4)
        np.testing.assert_allclose(found, wanted[:, k], rtol=1e-4, atol=1e-5)
    answering = dataclasses.replace(prompt, answer="{best}")
    words = dataclasses.replace(data, inputs={"text": answering}, targets={"next": fields.Reply(answering)})
    policy = dataclasses.replace(
        likes, model=gpt, data=words, evaluators={}, objectives={"policy": objectives.Policy()},
        rollout=Rollout(learned, group=4), run=Run(steps=2, log_every=1),
    )  # fmt: skip
    mmjax.train(policy, workdir=tmp_path / "policy", quiet=True)
    assert all(np.isfinite(line["reward"]) for line in told(tmp_path / "policy").values())
    with pytest.raises(UserError, match=r"is no run of a reward model, which reads fields\.Ranked"):
        Learned(str(tmp_path / "policy"))("", "", "")
    with pytest.raises(UserError, match="has no head 'worth'; it has next, reward"):
        Learned(str(tmp_path / "likes"), head="worth")("", "", "")


def test_agreement_counts_pairs():
    rewards = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 9.0], [0.0, 5.0, 0.0]], np.float32)
    worth, mask = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]]), np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], bool)
    values = jnp.asarray(np.where(np.arange(6) % 2, rewards.repeat(2, axis=1), 7.0))
    text = Signal(jnp.zeros((3, 6), jnp.int32), jnp.ones((3, 6), bool), jnp.tile(jnp.arange(6) // 2 + 1, (3, 1)))
    batch = Batch({"text": text}, {"worth": Signal(jnp.asarray(worth), jnp.asarray(mask))})
    fused = Tokens(jnp.zeros((3, 1, 1)), jnp.ones((3, 1), bool))
    metric = metrics.Agreement()
    found = metric.compute(metrics.gather([metric(Outputs({}, fused, {"reward": values}), batch)]), resamples=20)
    assert found["count"] == 4 and found["accuracy"]["value"] == pytest.approx((2 + 0.5) / 4)
    with pytest.raises(UserError, match="the model has no head 'worth'; it has reward"):
        metrics.Agreement(head="worth")(Outputs({}, fused, {"reward": values}), batch)


def test_pairs_may_be_about_pictures(folder, tmp_path):
    made = experiment(folder, objectives.Preference(beta=1.0), rollout=Pairs(reward.Share("dl"), words=3, prompt=8))
    prompt = dataclasses.replace(PROMPT, answer="{best}")
    inputs = {**made.data.inputs, "text": prompt}
    data = dataclasses.replace(made.data, inputs=inputs, targets={"next": fields.Reply(prompt)})
    made = dataclasses.replace(made, data=data, evaluators={})
    mmjax.train(made, workdir=tmp_path / "run", quiet=True)
    lines = told(tmp_path / "run")
    assert lines[1]["apart"] == 0 and np.mean([lines[step]["apart"] for step in range(16, 21)]) > 0.5


def test_what_is_not_judged_is_told(folder):
    made = experiment(folder, objectives.Preference(), rollout=Judged())
    prompt = dataclasses.replace(PROMPT, answer="{best}")
    data = dataclasses.replace(made.data, targets={"next": fields.Reply(prompt)})
    with pytest.raises(UserError, match=r"wants target 'next' to be fields\.Answers"):
        mmjax.train(dataclasses.replace(made, data=data), quiet=True)
    with pytest.raises(UserError, match="wants prompts 'words' with target 'next'; the data has image, text and next"):
        drawn = Pairs(reward.Exact(), stream="words")
        mmjax.train(dataclasses.replace(made, data=data, rollout=drawn), quiet=True)
    with pytest.raises(UserError, match="wants target 'reference', as a rollout gives"):
        mmjax.train(dataclasses.replace(made, rollout=None), quiet=True)
