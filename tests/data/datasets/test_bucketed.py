"""Buckets: a batch is of one length, every example is there once an epoch, and processes agree on the shapes."""

import jax
import numpy as np
import pytest

from mmjax import datasets, fields, transforms
from mmjax.core import UserError
from mmjax.data import pipeline

ROWS = 96
LENGTH = {"text": (4, 12), "wave": (20, 60)}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    short = np.arange(ROWS) < ROWS // 3
    texts = [" ".join(rng.choice(["one", "two"], rng.integers(1, 5) if s else rng.integers(5, 13))) for s in short]
    inner = datasets.Arrays.of(
        {"text": np.array(texts), "row": np.arange(ROWS), "wave": np.ones((ROWS, 18), np.float32)},
        inputs={"text": fields.Text(), "wave": fields.Audio(rate=100, seconds=0.6)},
        targets={"row": fields.Number(mean=0.0, std=1.0)},
    )
    return datasets.Bucketed(inner, LENGTH, batch=8)


def take(stream, count):
    return [next(stream) for _ in range(count)]


def test_batches_are_of_one_bucket_and_epochs_whole(data):
    examples = data.open(data.fit())
    batches = take(pipeline.stream(examples, batch=8, seed=0), 12 * 100)
    shapes = {(batch.inputs["text"].values.shape, batch.inputs["wave"].values.shape) for batch in batches}
    assert shapes == {((8, 4), (8, 20)), ((8, 12), (8, 60))}
    counts = np.zeros(ROWS, int)
    for batch in batches:
        rows = batch.targets["row"].values.astype(int)
        assert len({bool(row < ROWS // 3) for row in rows}) == 1
        counts[rows] += 1
        whole = examples.batch(rows).inputs["text"]
        np.testing.assert_array_equal(batch.inputs["text"].mask.sum(axis=1), whole.mask.sum(axis=1))
    share = sum(batch.inputs["text"].values.shape[1] == 4 for batch in batches) / len(batches)
    assert abs(share - 1 / 3) < 0.05
    assert np.ptp(counts[: ROWS // 3]) <= 1 and np.ptp(counts[ROWS // 3 :]) <= 1


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_see_together_what_one_would(data, processes):
    examples, augment = data.open(data.fit()), (transforms.DropTokens("text", 0.3),)
    whole = take(pipeline.stream(examples, batch=8, seed=3, augment=augment), 12)
    shards = [
        take(pipeline.stream(examples, batch=8, seed=3, augment=augment, shard=(p, processes)), 12)
        for p in range(processes)
    ]
    joined = [jax.tree.map(lambda *parts: np.concatenate(parts), *parts) for parts in zip(*shards, strict=True)]
    jax.tree.map(np.testing.assert_array_equal, whole, joined)


def test_what_makes_no_buckets_is_said_in_a_line(data):
    with pytest.raises(UserError, match=r"length wants as many buckets of each modality, not \{'text': 2, 'wave': 1\}"):
        datasets.Bucketed(data.data, {"text": (4, 8), "wave": (60,)})
    with pytest.raises(UserError, match=r"length of 'text' is \(8, 4\); it must rise from 1 or more"):
        datasets.Bucketed(data.data, {"text": (8, 4)})
    with pytest.raises(UserError, match=r"there is no modality 'txt'; did you mean 'text'\?"):
        datasets.Bucketed(data.data, {"txt": (4, 8)}).fit()
    weighed = datasets.Mixture({"a": data.data, "b": data.data}, weights={"a": 2, "b": 1})
    with pytest.raises(UserError, match=r"buckets would undo the weights of datasets.Mixture; leave weights out"):
        datasets.Bucketed(weighed, LENGTH).open(weighed.fit())
    both = datasets.Bucketed(datasets.Mixture({"a": data.data, "b": data.data}), LENGTH, batch=8)
    first = next(pipeline.stream(both.open(both.fit()), batch=8, seed=0))
    assert first.inputs["text"].values.shape in ((8, 4), (8, 12))
    pictures = datasets.Digits()
    with pytest.raises(UserError, match=r"datasets.Bucketed: image, of kind image, has one length for all"):
        datasets.Bucketed(pictures, {"image": (1, 2)}).fit()
