"""Ids that are kept in a folder are those of the texts, encoded once."""

import dataclasses

import numpy as np
import pytest

from mmjax import datasets
from mmjax.core import UserError
from mmjax.data import document, pipeline, store


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "plays.txt"
    path.write_text("to be or not to be.\n\nthat is\n\nthe question: whether 'tis nobler", encoding="utf-8")
    return datasets.Texts(str(path), length=9, batch=2, separator="\n\n")


def rows(data):
    examples = data.open(data.fit())
    ((batch, _),) = pipeline.sweep(examples, batch=len(examples))
    return batch.inputs["text"]


@pytest.mark.parametrize("change", [{}, {"packed": True}, {"part": (0.2, 0.9)}, {"separator": ""}], ids=str)
def test_stored_rows_are_the_same(texts, tmp_path, change):
    plain = dataclasses.replace(texts, **change)
    kept = dataclasses.replace(plain, store=str(tmp_path / "tokens"))
    for once in (rows(kept), rows(kept)):  # encoded, then only read
        np.testing.assert_array_equal(once.values, rows(plain).values)
        np.testing.assert_array_equal(once.mask, rows(plain).mask)
    assert (tmp_path / "tokens" / "index.json").is_file()


def test_what_was_cut_off_is_made_anew_and_other_texts_are_refused(texts, tmp_path, monkeypatch):
    folder = tmp_path / "tokens"
    kept = dataclasses.replace(texts, store=str(folder))

    def breaks(ids):
        yield ids
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.opened(folder, {}, breaks(np.arange(5)), 10)
    rows(kept)
    with pytest.raises(UserError, match="tokens of other texts"):
        rows(dataclasses.replace(kept, part=(0, 0.5)))
    (folder / "tokens.bin").write_bytes(b"12")
    with pytest.raises(UserError, match="damaged; remove it"):
        rows(kept)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("secret")
    with pytest.raises(UserError, match="other files than tokens"):
        rows(dataclasses.replace(texts, store=str(tmp_path / "mine")))


def test_ids_above_two_bytes_keep_four(tmp_path):
    found = store.opened(tmp_path / "tokens", {}, [np.array([70_000, 1]), np.array([2])], 70_001)
    assert found.ids.tolist() == [70_000, 1, 2] and found.ends.tolist() == [2, 3] and found.lengths.tolist() == [2, 1]


def test_documents_are_read_in_pieces(tmp_path, monkeypatch):
    """Wherever the pieces of a file end, within a separator too."""
    path = tmp_path / "many.txt"
    parts = ["é" * i for i in range(12)]
    path.write_text("<||>".join(parts), encoding="utf-8")
    for size in range(1, 9):
        monkeypatch.setattr(document, "_PIECE", size)
        assert list(document.read(path, "<||>")) == parts[1:]
        half = path.read_text("utf-8")[28:82]
        assert "<||>".join(document.read(path, "<||>", (0.25, 0.75))) == half
