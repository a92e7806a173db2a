"""Packing: every example once an epoch, side by side with its own segment, the same for any number of processes."""

import itertools
import json

import jax
import numpy as np
import PIL.Image
import pytest

from mmjax import datasets, fields, transforms
from mmjax.core import UserError
from mmjax.data import packing, pipeline, records

ROWS, MOST = 60, 8
LENGTH = {"text": 24, "log": 40, "image": 24}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Texts, logs and pictures of uneven length, some of them missing."""
    folder = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(ROWS):
        size = rng.integers(4, 14, 2)
        PIL.Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{i}.png")
        np.save(folder / f"{i}.npy", rng.normal(size=(rng.integers(2, 12), 2)).astype(np.float32))
        text = " ".join(rng.choice(["one", "two", "six"], rng.integers(1, 7)))
        lines.append(
            {"row": i, "text": text, "log": f"{i}.npy" if i % 5 else None, "image": f"{i}.png", "label": i % 2}
        )
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder / "rows.jsonl")


def dataset(manifest, of=datasets.Manifest, **options):
    inputs = {"text": fields.Text(), "log": fields.Sensor(), "image": fields.Patches(patch=4, most=9)}
    targets = {"label": fields.Class(), "row": fields.Number(mean=0.0, std=1.0)}
    inner = of(manifest, inputs=inputs, targets=targets) if of is datasets.Manifest else of(manifest)
    return datasets.Packed(inner, LENGTH, most=MOST, align={"log": 4}, **options)


@pytest.fixture(scope="module")
def data(manifest):
    return dataset(manifest)


@pytest.fixture(scope="module")
def examples(data):
    return data.open(data.fit())


def take(stream, count):
    return [next(stream) for _ in range(count)]


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def rows_of(batches):
    """The numbers of the examples, row by row."""
    return [
        np.rint(values[mask]).astype(int).tolist()
        for batch in batches
        for values, mask in zip(batch.targets["row"].values, batch.targets["row"].mask, strict=True)
    ]


def test_every_example_is_there_once_an_epoch_and_what_shares_a_row_changes(examples):
    count = len(examples.order(0))
    epochs = [rows_of(take(pipeline.stream(examples, batch=count, seed=s), 1)) for s in (0, 1)]
    epochs += [rows_of(take(pipeline.stream(examples, batch=count, seed=0), 2))[count:]]
    for epoch in epochs:
        assert sorted(itertools.chain.from_iterable(epoch)) == list(range(ROWS))
    assert len({tuple(map(tuple, epoch)) for epoch in epochs}) == 3


def test_examples_stand_side_by_side_as_they_are(examples):
    batch = next(pipeline.stream(examples, batch=6, seed=2))
    for r, numbers in enumerate(rows_of([batch])):
        assert 0 < len(numbers) <= MOST
        for segment, number in enumerate(numbers, start=1):
            alone = examples.batch([number])
            for name, signal in batch.inputs.items():
                own = signal.segments[r] == segment
                mine = alone.inputs[name]
                np.testing.assert_array_equal(signal.values[r][own], mine.values[0][mine.mask[0]])
                np.testing.assert_array_equal(signal.positions[r][own], mine.positions[0][mine.mask[0]])
            if alone.inputs["log"].mask.any():
                assert np.flatnonzero(batch.inputs["log"].segments[r] == segment)[0] % 4 == 0
    for name, signal in batch.inputs.items():
        assert signal.mask.shape == (6, LENGTH[name])
        np.testing.assert_array_equal(signal.mask, signal.segments > 0)


def test_pictures_keep_their_shape(examples):
    image = examples.schema.inputs["image"]
    assert image.fitting(8, 12) == (8, 12) and image.fitting(13, 4) == (12, 4) and image.fitting(400, 100) == (16, 8)
    batch = examples.batch(np.arange(ROWS)).inputs["image"]
    assert batch.values.shape == (ROWS, 9, 16) and batch.positions.shape == (ROWS, 9, 2)
    raw = examples[3]["inputs"]["image"]
    first = (raw[:4, :4].reshape(-1).astype(np.float32) - image.mean[0]) / image.std[0]
    np.testing.assert_allclose(batch.values[3, 0], first, atol=1e-5)


@pytest.fixture(scope="module")
def mixed(manifest):
    other = datasets.Manifest(manifest, inputs={"text": fields.Text()}, targets={"row": fields.Number(mean=0, std=1)})
    inner = dataset(manifest).data
    both = datasets.Mixture({"all": inner, "text": other}, weights={"all": 2, "text": 1})
    return datasets.Packed(both, LENGTH, most=MOST, align={"log": 4})


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_see_together_what_one_would_packed_and_mixed(mixed, processes):
    examples = mixed.open(mixed.fit())
    augment = (transforms.DropTokens("text", 0.3),)
    whole = take(pipeline.stream(examples, batch=16, seed=3, augment=augment), 5)
    shards = [
        take(pipeline.stream(examples, batch=16, seed=3, augment=augment, shard=(p, processes)), 5)
        for p in range(processes)
    ]
    equal(whole, [jax.tree.map(lambda *parts: np.concatenate(parts), *parts) for parts in zip(*shards, strict=True)])
    stream = pipeline.stream(examples, batch=16, seed=3, augment=augment)
    take(stream, 2)
    state = json.loads(json.dumps(stream.get_state()))
    again = pipeline.stream(mixed.open(mixed.fit()), batch=16, seed=3, augment=augment)
    again.set_state(state)
    equal(whole[2:], take(again, 3))


def test_records_know_how_long_their_rows_are(data, manifest, tmp_path, monkeypatch):
    records.pack(data.data, str(tmp_path / "out"), rows=16)
    packed = dataset(str(tmp_path / "out"), of=datasets.Records)
    schema = packed.fit()
    assert schema == data.fit()
    asked = []
    original = records.Shards.rows
    monkeypatch.setattr(records.Shards, "rows", lambda self, numbers: asked.extend(numbers) or original(self, numbers))
    opened = packed.open(schema)
    assert len(set(asked)) <= 16  # those that are weighed for the memory, and no more to know their lengths
    ours = take(pipeline.stream(opened, batch=4, seed=0), 6)
    equal(ours, take(pipeline.stream(data.open(schema), batch=4, seed=0), 6))


def test_what_cannot_be_packed_is_said_in_a_line(manifest, data):
    with pytest.raises(UserError, match=r"^datasets.Packed: align of 'log' is 3; it must be 1 or more and divide"):
        datasets.Packed(data.data, LENGTH, align={"log": 3})
    with pytest.raises(UserError, match=r"^datasets.Packed: length lacks 'log'; say how much of it a row holds$"):
        datasets.Packed(data.data, {"text": 24}).fit()
    with pytest.raises(UserError, match=r"^datasets.Packed: there is no modality 'txt'; did you mean 'text'\?$"):
        datasets.Packed(data.data, {**LENGTH, "txt": 24}).fit()
    whole = datasets.Manifest(manifest, label="label", inputs={"image": fields.Image(size=8)})
    with pytest.raises(UserError, match=r"'image', of kind image, cannot share a row; use fields.Patches$"):
        datasets.Packed(whole, {"image": 8}).fit()
    short = datasets.Packed(data.data, {**LENGTH, "text": 3})
    with pytest.raises(
        UserError, match=r"row \d+: text takes \d units, and a packed row holds 3; give datasets.Packed"
    ):
        short.open(short.fit())
    slow = pipeline.stream(data.open(data.fit()), batch=8, seed=0, augment=(transforms.Speed("log", 3.0),))
    with pytest.raises(UserError, match="log of a packed row is longer than 40: a transform made it longer"):
        take(slow, 20)


@pytest.mark.parametrize("most", [3, 10**9])
def test_best_fit_fills_rows_and_never_overfills_them(most):
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.geometric(1 / 150, 20_000), 1, 1024)
    rows = packing.best_fit(lengths, 1024, most)
    assert sorted(rows.numbers) == list(range(len(lengths))) and rows.counts.max() <= most
    full = np.add.reduceat(lengths[rows.numbers], np.cumsum(rows.counts) - rows.counts)
    assert full.max() <= 1024 and (most == 3 or full.mean() > 0.995 * 1024)
    assert most > 3 or len(rows.counts) < 1.05 * len(lengths) / 3


def test_numbers_that_are_no_pixels_stay_as_they_are():
    pictures = fields.Patches("picture", patch=2, most=4, channels=3)
    clips = fields.Video("clip", frames=2, size=4, channels=3)
    picture, clip = np.full((4, 4, 3), 0.7, np.float32), np.full((2, 4, 4, 3), 0.7, np.float32)
    for field, example in (
        (pictures, picture),
        (fields.Packed(pictures, 8), [picture]),
        (fields.Packed(clips, 8), [clip]),
    ):
        signal = field.batch([example])
        assert signal.values.dtype == np.float32
        np.testing.assert_allclose(signal.values[signal.mask], 0.7, rtol=1e-6)
