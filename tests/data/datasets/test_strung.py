"""Recordings strung together: what is in a string, that it is always the same, and what is refused."""

import numpy as np
import pytest
import soundfile

from mmjax import datasets, fields
from mmjax.core import UserError
from mmjax.data import pipeline

RATE, LENGTH = 8000, 400
NAMES = {"a": ("0", "1", "2"), "b": ("3", "4")}


@pytest.fixture
def manifest(tmp_path):
    """Recordings of a constant each, which tells which one it is; one is named twice."""
    lines = ["audio,label,speaker"]
    for speaker, labels in NAMES.items():
        for label in labels:
            name = f"{label}_{speaker}.wav"
            soundfile.write(tmp_path / name, np.full(LENGTH, (1 + int(label)) / 16, np.float32), RATE, subtype="FLOAT")
            lines.append(f"{name},{label},{speaker}")
    (tmp_path / "all.csv").write_text("\n".join([*lines, lines[-1]]) + "\n")
    return str(tmp_path / "all.csv")


def strung(manifest, **options):
    own = {"by": "speaker", "spelled": {"3": "three"}, "rows": 40, "count": (2, 4), "pause": (0.01, 0.02)}
    return datasets.Strung(manifest, targets={"text": fields.Text()}, **own | options)


def test_a_string_is_what_its_text_says_with_silence_between(manifest):
    rows = strung(manifest).source().rows
    assert {row.cells["speaker"] for row in rows} == {"a", "b"}
    counts = set()
    for row in rows:
        wave, rate = row.cells["audio"]
        words = ["3" if word == "three" else word for word in row.cells["text"].split()]
        assert rate == RATE and set(words) <= set(NAMES[row.cells["speaker"]])
        edges = np.flatnonzero(np.diff(np.concatenate([[0], wave, [0]])) != 0)
        starts, ends = edges[::2], edges[1::2]
        assert [int(wave[start] * 16) - 1 for start in starts] == [int(word) for word in words]
        assert np.all(ends - starts == LENGTH)
        pauses = np.concatenate([starts, [len(wave)]]) - np.concatenate([[0], ends])
        assert np.all((pauses >= 80) & (pauses <= 160))
        counts.add(len(words))
    assert counts == {2, 3, 4}


def test_the_same_number_is_the_same_string_and_another_origin_another(manifest):
    one, same, other = (strung(manifest, origin=origin).source().rows for origin in (0, 0, 1))
    assert [row.cells["text"] for row in one] == [row.cells["text"] for row in same]
    assert [row.cells["text"] for row in one] != [row.cells["text"] for row in other]
    assert one.digest == same.digest != other.digest
    np.testing.assert_array_equal(one[7].cells["audio"][0], same[7].cells["audio"][0])


def test_batches_have_words_as_targets(manifest):
    data = strung(manifest, where={"speaker": "b"})
    schema = data.fit()
    examples = data.open(schema)
    batch, _ = next(pipeline.sweep(examples, batch=40))
    assert schema.targets["text"].tokenizer.vocabulary in (("4", "three"), ("three", "4"))
    assert batch.targets["text"].values.shape == (40, 4) and set(batch.targets["text"].mask.sum(axis=1)) == {2, 3, 4}
    assert batch.inputs["audio"].mask.any(axis=1).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rows": 0}, "rows=0 must be 1 or more"),
        ({"count": (4, 2)}, r"count=\(4, 2\) must be 1 or more, the less first"),
        ({"pause": (-1.0, 0.0)}, r"pause=\(-1.0, 0.0\) must be 0 or more"),
        ({"by": "voice"}, "has no column 'voice'"),
        ({"where": {"speaker": "c"}}, "c"),
    ],
)
def test_what_cannot_be_is_told(manifest, options, told):
    with pytest.raises(UserError, match=told):
        strung(manifest, **options).source()
