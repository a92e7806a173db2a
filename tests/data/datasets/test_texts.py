"""Running text in rows, and the word after each."""

import numpy as np
import pytest

from mmjax import datasets
from mmjax.core import UserError
from mmjax.data import document, pipeline
from mmjax.data.tokenizers import Bytes, Characters


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "plays.txt"
    path.write_text("to be or not to be.\n\nthat is\n\nthe question: whether it is nobler", encoding="utf-8")
    return path


def everything(data):
    schema = data.fit()
    examples = data.open(schema)
    (batch, numbers), *rest = pipeline.sweep(examples, batch=len(examples))
    assert not rest and list(numbers) == list(range(len(examples)))
    return schema, batch


def test_each_word_but_the_first_is_predicted_once(file):
    schema, batch = everything(datasets.Texts(str(file), length=7))
    given, answers = batch.inputs["text"], batch.targets["next"]
    text = file.read_text()
    decode = schema.inputs["text"].tokenizer.decode
    assert decode(answers.values[answers.mask]) == text[1:]
    assert decode(given.values[given.mask]) == text[:-1] and given.segments is None
    np.testing.assert_array_equal(given.values[:, 1:][given.mask[:, 1:]], answers.values[:, :-1][given.mask[:, 1:]])


def test_a_row_may_begin_anywhere(file):
    schema, batch = everything(datasets.Texts(str(file), Characters(), length=7, stride=1, part=(0, 0.5)))
    text = file.read_text()
    text = text[: round(len(text) / 2)]
    rows = [schema.inputs["text"].tokenizer.decode(row) for row in batch.inputs["text"].values]
    assert rows == [text[i : i + 7] for i in range(len(text) - 7)]


def test_packed_documents_are_whole_and_apart(file):
    data = datasets.Texts(str(file), length=30, separator="\n\n", packed=True)
    schema, batch = everything(data)
    given, answers = batch.inputs["text"], batch.targets["next"]
    found = []
    for row in range(len(given.values)):
        for segment in range(1, given.segments[row].max() + 1):
            own = given.segments[row] == segment
            np.testing.assert_array_equal(given.positions[row][own], np.arange(own.sum()))
            known = own & answers.mask[row]
            found.append(
                schema.inputs["text"].tokenizer.decode([given.values[row][own][0], *answers.values[row][known]])
            )
            assert known.sum() >= own.sum() - 1
    *whole, cut = data.documents()
    assert set(whole) <= set(found)
    assert sorted(found, key=cut.find)[-2:] == [cut[:31], cut[30:]]
    assert not given.mask[given.segments == 0].any() and given.mask[given.segments > 0].all()


def test_packing_fills_rows():
    lengths = np.random.default_rng(0).integers(1, 200, 3_000).tolist()
    rows = document.packed(lengths, 257)
    assert sorted(number for row in rows for number, _, _ in row) == list(range(3_000))
    used = [sum(stop - start for _, start, stop in row) for row in rows]
    assert max(used) <= 257 and sum(used) / (257 * len(rows)) > 0.99


def test_what_is_wrong_is_told(file, tmp_path):
    with pytest.raises(UserError, match="part="):
        datasets.Texts(str(file), part=(0.5, 0.5))
    with pytest.raises(UserError, match="does not exist"):
        datasets.Texts(str(tmp_path / "no.txt")).fit()
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8"):
        datasets.Texts(str(tmp_path / "bad.txt")).fit()
    assert Bytes().size == 258
