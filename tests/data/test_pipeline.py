"""Batches: a function of the seed and their number, for any number of processes."""

import json

import jax
import numpy as np
import pytest

from mmjax import datasets, fields, transforms
from mmjax.core import UserError
from mmjax.data import pipeline
from mmjax.data.examples import Examples
from mmjax.data.sources import Lazy, Source

ROWS = 23
AUGMENT = (transforms.Crop("image", margin=1), transforms.Noise("audio"), transforms.DropTokens("text", 0.3))


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    arrays = datasets.Arrays.of(
        {
            "image": rng.integers(0, 255, (ROWS, 6, 6), dtype=np.uint8),
            "audio": rng.normal(size=(ROWS, 50)).astype(np.float32),
            "text": np.array([" ".join(rng.choice(["one", "two", "three"], 3)) for _ in range(ROWS)]),
            "row": np.arange(ROWS),
        },
        inputs={"image": fields.Image(), "audio": fields.Audio(rate=100), "text": fields.Text()},
        targets={"row": fields.Number(mean=0.0, std=1.0)},
    )
    return arrays.open(arrays.fit())


def take(stream, count):
    return [next(stream) for _ in range(count)]


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def rows_of(batches):
    return np.concatenate([batch.targets["row"].values for batch in batches]).astype(int)


def test_every_epoch_has_every_row_once_in_another_order(examples):
    seen = rows_of(take(pipeline.stream(examples, batch=5, seed=1), 23))
    epochs = seen[: 5 * ROWS].reshape(5, ROWS)
    for epoch in epochs:
        assert sorted(epoch) == list(range(ROWS))
    assert len({tuple(epoch) for epoch in epochs}) == 5


@pytest.mark.parametrize("augment", [(), AUGMENT])
def test_the_same_seed_gives_the_same_batches_and_another_others(examples, augment):
    first = take(pipeline.stream(examples, batch=4, seed=7, augment=augment), 8)
    again = take(pipeline.stream(examples, batch=4, seed=7, augment=augment, prefetch=0), 8)
    assert_equal(first, again)
    assert list(rows_of(first)) != list(rows_of(take(pipeline.stream(examples, batch=4, seed=8), 8)))


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("augment", [(), AUGMENT])
def test_processes_see_together_what_one_would(examples, processes, augment):
    whole = take(pipeline.stream(examples, batch=8, seed=3, augment=augment), 7)
    shards = [
        take(pipeline.stream(examples, batch=8, seed=3, augment=augment, shard=(p, processes)), 7)
        for p in range(processes)
    ]
    joined = [jax.tree.map(lambda *parts: np.concatenate(parts), *parts) for parts in zip(*shards, strict=True)]
    assert_equal(whole, joined)


def test_a_restored_state_goes_on_bit_for_bit_for_any_number_of_processes(examples):
    stream = pipeline.stream(examples, batch=8, seed=3, augment=AUGMENT)
    take(stream, 5)
    state = json.loads(json.dumps(stream.get_state()))
    further = take(stream, 6)
    again = pipeline.stream(examples, batch=8, seed=3, augment=AUGMENT)
    again.set_state(state)
    assert_equal(further, take(again, 6))
    half = pipeline.stream(examples, batch=8, seed=3, augment=AUGMENT, shard=(1, 2))
    half.set_state(state)
    assert_equal(jax.tree.map(lambda x: x[4:], further), take(half, 6))
    stream.close()


@pytest.mark.parametrize("rows", ["b,1\na,0\n", "a,0\nb,1\na,0\n", "a,0\nc,1\n"], ids=["order", "one more", "a cell"])
def test_a_state_is_refused_where_the_rows_have_changed(tmp_path, rows):
    manifest = tmp_path / "train.csv"
    manifest.write_text("text,y\na,0\nb,1\n")
    data = datasets.Manifest(str(manifest), label="y")
    schema = data.fit()
    stream = pipeline.stream(data.open(schema), batch=1, seed=0)
    state = stream.get_state()
    pipeline.stream(data.open(schema), batch=1, seed=0).set_state(state)
    manifest.write_text("text,y\n" + rows)
    changed = pipeline.stream(data.open(schema), batch=1, seed=0)
    with pytest.raises(UserError, match="has changed since"):
        changed.set_state(state)


def test_augmentation_is_drawn_anew_for_every_place(examples):
    batches = take(pipeline.stream(examples, batch=ROWS, seed=0, augment=AUGMENT[1:2]), 2)
    waves = [batch.inputs["audio"].values[np.argsort(batch.targets["row"].values)] for batch in batches]
    assert not np.isclose(waves[0], waves[1]).all(axis=1).any()


def test_an_absent_modality_shifts_no_random_numbers(examples):
    rows = Lazy("rows", ROWS, lambda i: {k: v for k, v in examples.row(i).cells.items() if k != "image"})
    without = Examples(Source("rows", ("audio", "text", "row"), rows), examples.schema)
    for a, b in zip(
        take(pipeline.stream(examples, batch=8, seed=3, augment=AUGMENT), 3),
        take(pipeline.stream(without, batch=8, seed=3, augment=AUGMENT), 3),
        strict=True,
    ):
        assert not b.inputs["image"].mask.any()
        for name in ("audio", "text"):
            assert_equal(a.inputs[name], b.inputs[name])


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_sweep_has_every_example_once_in_order(examples, processes):
    numbers = []
    for p in range(processes):
        shard = []
        for batch, found in pipeline.sweep(examples, batch=8, shard=(p, processes)):
            assert len(found) == 8 // processes
            rows = batch.targets["row"]
            np.testing.assert_array_equal(rows.mask, found >= 0)
            np.testing.assert_array_equal(rows.values[found >= 0], found[found >= 0])
            for signal in batch.inputs.values():
                assert not signal.mask[found < 0].any()
                assert not signal.values[found < 0].any()
            shard.append(found)
        numbers.append(shard)
    assert {len(shard) for shard in numbers} == {3}
    order = np.concatenate([found for step in zip(*numbers, strict=True) for found in step])
    assert order.tolist() == [*range(ROWS), -1]


def test_what_does_not_fit_is_said_at_once(examples):
    with pytest.raises(UserError, match=r"^batch 6 cannot be shared evenly by 4 processes$"):
        pipeline.stream(examples, batch=6, seed=0, shard=(0, 4))
    with pytest.raises(UserError, match=r"^transforms.Flip names the modality 'scan', but the data have image, audio"):
        pipeline.stream(examples, batch=4, seed=0, augment=(transforms.Flip("scan"),))
    with pytest.raises(UserError, match=r"^transforms.Flip changes image or video, but 'audio' is of kind audio$"):
        pipeline.stream(examples, batch=4, seed=0, augment=(transforms.Flip("audio"),))


def test_transforms_never_touch_what_is_cached(examples):
    before = [examples[i]["inputs"]["image"].copy() for i in range(ROWS)]
    every = (
        transforms.Crop("image"),
        transforms.Flip("image"),
        transforms.Affine("image"),
        transforms.Erase("image", 1.0),
        transforms.Light("image"),
    )
    take(pipeline.stream(examples, batch=ROWS, seed=0, augment=every), 3)
    for i in range(ROWS):
        np.testing.assert_array_equal(before[i], examples[i]["inputs"]["image"])
    with pytest.raises(ValueError, match="read-only"):
        examples[0]["inputs"]["image"][:] = 0


def test_rows_decoded_on_demand_stream_the_same(examples):
    source = Source("rows", ("image", "audio", "text", "row"), examples._source.rows)
    lazy = Examples(source, examples.schema, cache_gb=0)
    assert not lazy.cached
    assert_equal(
        take(pipeline.stream(examples, batch=8, seed=3, augment=AUGMENT), 4),
        take(pipeline.stream(lazy, batch=8, seed=3, augment=AUGMENT), 4),
    )


def test_a_row_found_bad_late_stops_the_stream_with_its_own_line(folder):
    (folder / "rows.csv").write_text("image,y\na.png,0\nb.png,1\n")
    data = datasets.Manifest("rows.csv", label="y", cache_gb=0)
    lazy = data.open(data.fit())
    (folder / "b.png").write_text("spoilt")
    with pytest.raises(UserError, match=r"^rows.csv row 2: b.png is not a picture that Pillow knows; mend it or use"):
        take(pipeline.stream(lazy, batch=2, seed=0), 1)
