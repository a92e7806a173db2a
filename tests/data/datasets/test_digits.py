"""The embedded digits: the same everywhere, each with its tones and its name."""

import numpy as np
import pytest

from mmjax import datasets
from mmjax.core import UserError
from mmjax.data.datasets import keypad, naming
from mmjax.data.sources import Row


def cells(split="train", **dials):
    return [row.cells for row in datasets.Digits(split, **dials).source().rows]


def test_the_splits_are_all_rows_once_with_every_class_in_proportion():
    parts = [cells(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [1078, 360, 359]
    for part in parts[1:]:
        counts = np.bincount([int(row["label"]) for row in part], minlength=10)
        assert counts.min() >= 34 and counts.max() <= 37


def test_rows_are_the_same_every_time_and_known():
    first, again = cells("val")[:50], cells("val")[:50]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])
        np.testing.assert_array_equal(a["audio"][0], b["audio"][0])
        assert (a["text"], a["label"]) == (b["text"], b["label"])
    assert len({row["text"] for row in first}) > 25
    clean = cells("val", blur=0.0, hidden=0, typos=0.0)[:50]
    assert all(row["text"] in [line.split()[int(row["label"])] for line in naming.NAMES.values()] for row in clean)


def test_without_noise_the_pictures_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    known = {
        (digit.tobytes(), str(label))
        for digit, label in zip(
            np.round(load_digits().images / 16 * 255).astype(np.uint8), load_digits().target, strict=True
        )
    }
    assert {(row["image"].tobytes(), row["label"]) for row in cells("test", blur=0.0, hidden=0)} <= known


@pytest.mark.parametrize("digit", range(10))
def test_a_key_sounds_its_two_frequencies(digit):
    wave = keypad.press(digit, np.random.default_rng(digit), rate=8000, seconds=0.3, snr=(20.0, 20.0))
    assert wave.dtype == np.float32 and wave.shape == (2400,) and np.abs(wave).max() < 1
    known = (697, 770, 852, 941, 1209, 1336, 1477)
    time = np.arange(2400) / 8000
    power = {f: abs(np.sum(wave * np.exp(-2j * np.pi * f * time))) for f in known}
    assert sorted(sorted(known, key=lambda f: -power[f])[:2]) == sorted(keypad.frequencies(digit))


def test_the_keys_are_those_of_the_recommendation():
    assert keypad.frequencies(1) == (697, 1209)
    assert keypad.frequencies(6) == (770, 1477)
    assert keypad.frequencies(8) == (852, 1336)
    assert keypad.frequencies(0) == (941, 1336)


def test_typing_errors_come_at_their_rate_and_leave_something():
    rng = np.random.default_rng(0)
    assert naming.mistyped("seitsemän", rng, rate=0.0) == "seitsemän"
    assert all(naming.mistyped("een", rng, rate=1.0) for _ in range(200))
    changed = sum(naming.mistyped("x", rng, rate=0.5) != "x" for _ in range(2000))
    assert 400 < changed < 700  # of the four slips, swapping and dropping cannot happen to a single letter


def test_the_schema_reads_a_persons_own_files():
    data = datasets.Digits()
    schema = data.fit()
    examples = data.open(schema)
    batch = examples.batch([0, 1, 2])
    assert batch.inputs["image"].values.shape == (3, 8, 8, 1)
    assert batch.inputs["audio"].values.shape == (3, 2400) and batch.inputs["audio"].mask.all()
    assert batch.inputs["text"].values.shape == (3, 16)
    assert schema.targets["label"].names == tuple("0123456789")
    own = Row({"image": np.zeros((28, 28), np.uint8), "text": "Seven"}, "own", 1)
    assert schema.inputs["image"].read(own).shape == (8, 8, 1)
    np.testing.assert_array_equal(
        schema.inputs["text"].read(own), schema.inputs["text"].read(Row({"text": "seven"}, "own", 2))
    )


def test_a_wrong_split():
    with pytest.raises(UserError, match=r"^datasets.Digits: split is 'dev'; it can be train, val, test$"):
        datasets.Digits("dev")
