"""Batches that grow show the same rows in the same order, fewer at a time to begin with."""

import dataclasses

import numpy as np
import pytest

import mmjax
from mmjax import Multimodal, datasets, encoders, fusion, heads, objectives
from mmjax.core import UserError
from mmjax.data import pipeline
from mmjax.data.ramp import Growth, Ramp
from mmjax.train import Experiment, Run
from mmjax.train.folder import Folder


@pytest.fixture(scope="module")
def examples():
    data = datasets.Digits(split="val")
    return data.open(data.fit())


def taken(examples, count, **options):
    stream = pipeline.stream(examples, batch=32, seed=3, **options)
    batches = [next(stream) for _ in range(count)]
    stream.close()
    return batches


def images(batches):
    return np.concatenate([batch.inputs["image"].values for batch in batches])


def test_gpt3s_line_is_followed_in_doublings():
    growth = Growth(1600, Ramp(first=16, examples=2_000_000))
    assert growth.sizes == [16, 32, 64, 128, 256, 512, 1024, 1600]
    for k in (0, 1, 500, 5_000, 50_000):
        place, size = growth(k)
        line = min(16 + (1600 - 16) * place / 2_000_000, 1600)
        assert size <= max(line, 16) + 1e-9 and growth(k + 1)[0] == place + size
        assert size == 1600 or 2 * size > line * 0.97  # but for the last batch before a doubling
    assert Growth(8)(7) == (56, 8)


def test_no_row_is_left_out_or_comes_twice(examples):
    ramp = Ramp(first=4, examples=100)
    grown, plain = taken(examples, 13, ramp=ramp), taken(examples, 8)
    sizes = [len(batch.targets["label"].mask) for batch in grown]
    assert sizes == sorted(sizes) and sizes[0] == 4 and sizes[-1] == 32
    count = sum(sizes)
    np.testing.assert_array_equal(images(grown), images(plain)[:count])
    halves = [taken(examples, 13, ramp=ramp, shard=(p, 2)) for p in range(2)]
    for whole, *own in zip(grown, *halves, strict=True):
        np.testing.assert_array_equal(images([whole]), images(own))


def test_what_does_not_fit_is_told(examples):
    with pytest.raises(UserError, match=r"run\.ramp\.first=64 is more than data\.batch=32"):
        taken(examples, 1, ramp=Ramp(64, 10))
    with pytest.raises(UserError, match="1 or more"):
        Ramp(0, 10)


def test_a_run_grows_and_counts_what_it_saw(tmp_path):
    experiment = Experiment(
        model=Multimodal(
            {"image": encoders.LeNet(channels=(2, 2), width=8)}, fusion.Late(width=8), {"label": heads.Classify(10)}
        ),
        data=datasets.Digits(split="train", batch=32),
        objectives={"label": objectives.CrossEntropy("label")},
        run=Run(steps=6, log_every=6, ramp=Ramp(first=8, examples=48)),
    )
    mmjax.train(experiment, workdir=tmp_path / "run", quiet=True)
    assert Folder(tmp_path / "run").experiment().run.ramp == Ramp(first=8, examples=48)
    with pytest.raises(UserError, match=r"run\.ramp\.first=8, now 16"):
        other = dataclasses.replace(experiment.run, ramp=Ramp(first=16, examples=48))
        mmjax.train(dataclasses.replace(experiment, run=other), workdir=tmp_path / "run", quiet=True)
