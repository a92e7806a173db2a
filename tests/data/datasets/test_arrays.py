"""Arrays in a file and in memory."""

import dataclasses
import json

import numpy as np
import pytest

from mmjax import datasets, fields
from mmjax.core import UserError, plain

RNG = np.random.default_rng(0)
ARRAYS = {
    "image": RNG.integers(0, 255, (12, 6, 5), dtype=np.uint8),
    "log": RNG.normal(size=(12, 9, 2)).astype(np.float32),
    "age": RNG.uniform(10, 90, 12),
    "words": np.array([f"word{i} and {i}" for i in range(12)]),
    "tags": RNG.integers(0, 2, (12, 3)),
    "label": np.arange(12) % 3,
}
TARGETS = {"tags": fields.Classes(names=("a", "b", "c"))}


def test_kinds_are_inferred_where_shapes_say_enough():
    data = datasets.Arrays.of(ARRAYS, label="label", targets=TARGETS)
    schema = data.fit()
    kinds = {name: field.kind for name, field in schema.inputs.items()}
    assert kinds == {"image": "image", "log": "sensor", "words": "text", "table": "table"}
    assert schema.targets["label"].names == ("0", "1", "2")
    examples = data.open(schema)
    assert examples.where(3) == "(arrays in memory) row 4"
    batch = examples.batch(range(12))
    np.testing.assert_array_equal(batch.targets["tags"].values, ARRAYS["tags"])
    np.testing.assert_array_equal(batch.targets["label"].values, ARRAYS["label"])
    mean, std = schema.inputs["image"].mean[0], schema.inputs["image"].std[0]
    np.testing.assert_allclose(
        batch.inputs["image"].values[..., 0] * std + mean, ARRAYS["image"].astype(float), atol=1e-3
    )


def test_a_file_reads_like_memory(folder):
    np.savez_compressed(folder / "data.npz", **ARRAYS)
    memory = datasets.Arrays.of(ARRAYS, label="label", targets=TARGETS)
    file = datasets.Arrays("data.npz", label="label", targets=TARGETS)
    assert memory.fit() == file.fit()
    a, b = memory.open(memory.fit()).batch([5, 2]), file.open(file.fit()).batch([5, 2])
    np.testing.assert_array_equal(a.inputs["log"].values, b.inputs["log"].values)


def test_one_split_of_several_in_a_file(folder):
    later = {name: array[::-1] for name, array in ARRAYS.items()}
    both = {f"train_{name}": array for name, array in ARRAYS.items()} | {f"val_{n}": a[:5] for n, a in later.items()}
    np.savez(folder / "both.npz", **both)
    for data in (datasets.Arrays("both.npz", label="label"), datasets.Arrays.of(both, label="label")):
        train, val = (dataclasses.replace(data, prefix=prefix, targets=TARGETS) for prefix in ("train_", "val_"))
        schema = train.fit()
        assert set(schema.inputs) == {"image", "log", "words", "table"}
        examples = val.open(schema)
        assert len(examples) == 5
        np.testing.assert_array_equal(examples.batch([0, 1]).targets["label"].values, later["label"][:2])
        with pytest.raises(UserError, match=r"has no array whose name begins with prefix='test_'$"):
            dataclasses.replace(data, prefix="test_").fit()


def test_memory_survives_a_change_of_settings_but_not_a_record():
    data = dataclasses.replace(datasets.Arrays.of(ARRAYS, label="label", targets=TARGETS), batch=4)
    assert len(data.open(data.fit())) == 12
    again = plain.from_plain(json.loads(json.dumps(plain.to_plain(data))))
    assert again.batch == 4
    with pytest.raises(UserError, match=r"^these arrays were in memory when the run was made; give them again"):
        again.fit()


def test_what_a_shape_does_not_say_is_asked_for():
    with pytest.raises(UserError, match=r"column 'wave' holds arrays float32 \(50,\), which may be anything; declare"):
        datasets.Arrays.of({"wave": np.zeros((3, 50), np.float32), "label": np.arange(3)}, label="label").fit()


def test_where_and_fold_choose_rows():
    data = datasets.Arrays.of(ARRAYS, label="label", targets=TARGETS, where={"label": (0, 2)})
    assert [row.number for row in data.source().rows] == [1, 3, 4, 6, 7, 9, 10, 12]
    sides = [
        dataclasses.replace(data, fold=datasets.Fold(count=4, index=1, held_out=held)).source().rows
        for held in (True, False)
    ]
    assert sorted(row.number for side in sides for row in side) == [1, 3, 4, 6, 7, 9, 10, 12]
