"""Captions of pictures that learn from their own CIDEr, held against what would have been said anyway (SCST)."""

import dataclasses
import json

import numpy as np
import PIL.Image
import pytest

import mmjax
from mmjax import Experiment, datasets, decoders, encoders, fields, metrics, objectives
from mmjax.core import UserError, plain
from mmjax.generate import Rollout, reward
from mmjax.train import Constant, Optim, Run

PROMPT = fields.Prompt("<image>", places={"image": 4}, answer="{caption}")
CAPTIONS = "a dark small room", "the bright sky above", "one grey wall there"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("captions")
    rng, rows = np.random.default_rng(0), []
    for i in range(24):
        PIL.Image.fromarray(rng.integers(0, 40, (8, 8), np.uint8) + np.uint8(100 * (i % 3))).save(path / f"{i}.png")
        rows.append({"image": f"{i}.png", "caption": CAPTIONS[i % 3]})
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def experiment(folder, **changes):
    data = datasets.Manifest(
        str(folder / "rows.jsonl"),
        inputs={"image": fields.Image(size=8, channels=1), "text": PROMPT},
        targets={"next": fields.Reply(PROMPT)},
        batch=24,
    )
    own = Experiment(
        model=decoders.Talker(
            encoders={"image": encoders.Image(width=16, depth=0, patch=4, convolutions=0)},
            bridges={"image": decoders.Projector(16)},
            decoder=decoders.GPT(vocabulary=16, length=12, width=16, depth=1, heads=2),
        ),
        data=data,
        objectives={"next": objectives.CrossEntropy("next")},
        optim=Optim(lr=2e-2, schedule=Constant()),
        run=Run(steps=10, log_every=1),
    )
    return dataclasses.replace(own, **changes)


def test_captions_become_more_like_peoples(folder, tmp_path):
    mmjax.train(experiment(folder), workdir=tmp_path / "begun", quiet=True)
    made = experiment(
        folder,
        objectives={"critic": objectives.SelfCritical()},
        rollout=Rollout(reward.Sentence(), group=4, against="likeliest"),
        run=Run(steps=32, log_every=1),
        init_from=str(tmp_path / "begun"),
    )
    mmjax.train(made, workdir=tmp_path / "learned", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "learned" / "metrics.jsonl").read_text().splitlines()]
    rewards = [line["reward"] for line in lines if "reward" in line]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 1
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(made)))) == made


def test_rewards_are_the_metrics_figures():
    said, truths = ["a dark room", "the sky", "one wall there"], [*CAPTIONS]
    for figure in ("cider", "rouge_l", "token_f1"):
        each = reward.each(reward.Sentence(figure), ["", "", ""], said, truths)
        whole = metrics.sentences(said, truths, figures=(figure,), resamples=0)
        assert np.mean(each) == pytest.approx(whole[figure]["value"]) and each.dtype == np.float64
    known = reward.Sentence(corpus=CAPTIONS)  # with which what is rewarded beside it does not count
    both = reward.each(known, ["", ""], said[:2], truths[:2])
    np.testing.assert_allclose([known("", *one) for one in zip(said, truths, strict=True)][:2], both)
    np.testing.assert_allclose(reward.each(reward.Sentence(), ["", "", ""], said, truths)[:2], both)
    assert reward.Sentence("rouge_l")("", "a room", "a room") == 1
    with pytest.raises(UserError, match="figure='bleu'; it can be exact_match, token_f1, vqa_accuracy, rouge_l, cider"):
        reward.Sentence("bleu")


def test_cider_without_captions_to_learn_from_is_told(monkeypatch):
    with pytest.raises(UserError, match="CIDEr wants two captions that differ"):
        reward.each(reward.Sentence(), ["", ""], ["a room", "a sky"], ["a room", "a room"])
    monkeypatch.setattr("jax.process_count", lambda: 2)
    with pytest.raises(UserError, match="each of several processes has truths of its own"):
        reward.each(reward.Sentence(), ["", ""], ["a room", "a sky"], ["a room", "a sky"])
    assert reward.Sentence(corpus=CAPTIONS)("", CAPTIONS[0], CAPTIONS[0]) == pytest.approx(10)
