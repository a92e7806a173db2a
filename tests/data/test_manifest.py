"""Four ways to write the same rows, and what is left out of them."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mmjax import datasets, fields
from mmjax.core import UserError, plain

ROWS = [
    {"image": "a.png", "age": 31, "organ": "chest", "text": "is it, well?", "y": 1, "flag": True},
    {"image": "b.png", "age": None, "organ": "head", "text": "no ärger", "y": 0, "flag": False},
    {"image": None, "age": 4.5, "organ": "head", "text": "no", "y": 1, "flag": True},
    {"image": "a.png", "age": 7, "organ": None, "text": None, "y": None, "flag": False},
]
INPUTS = {
    "image": fields.Image(),
    "text": fields.Text(),
    "table": fields.Table(numbers=("age",), categories=("organ", "flag")),
}


def spelled(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def write_all(folder):
    """The rows as CSV, TSV, JSONL and Parquet."""
    import csv

    for extension, delimiter in (("csv", ","), ("tsv", "\t")):
        with (folder / f"rows.{extension}").open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(ROWS[0])
            writer.writerows([spelled(cell) for cell in row.values()] for row in ROWS)
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "rows.parquet")
    return ("csv", "tsv", "jsonl", "parquet")


def same(a, b):
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def test_every_format_reads_the_same(folder):
    opened = []
    for extension in write_all(folder):
        manifest = datasets.Manifest(f"rows.{extension}", inputs=INPUTS, targets={"y": fields.Class()})
        opened.append(manifest.open(manifest.fit()))
    first = opened[0]
    assert [first.where(i) for i in range(4)] == [f"rows.csv row {i}" for i in (1, 2, 3, 4)]
    for other in opened[1:]:
        assert other.schema == first.schema
        for i in range(4):
            for part in ("inputs", "targets"):
                for name in first[i][part]:
                    assert same(first[i][part][name], other[i][part][name])


def test_an_empty_cell_is_absence(folder):
    write_all(folder)
    manifest = datasets.Manifest("rows.csv", inputs=INPUTS, targets={"y": fields.Class()})
    examples = manifest.open(manifest.fit())
    batch = examples.batch(range(4), pad_to=5)
    assert batch.inputs["image"].mask.tolist() == [[True], [True], [False], [True], [False]]
    assert not batch.inputs["image"].values[2].any()
    assert batch.inputs["text"].mask.any(axis=1).tolist() == [True, True, True, False, False]
    assert batch.inputs["table"].mask.tolist() == [
        [True, True, True],
        [False, True, True],
        [True, True, True],
        [True, False, True],
        [False, False, False],
    ]
    assert batch.targets["y"].mask.tolist() == [True, True, True, False, False]
    assert batch.targets["y"].values.tolist() == [1, 0, 1, 0, 0]


def test_label_infers_the_target_and_every_other_column(folder):
    write_all(folder)
    schema = datasets.Manifest("rows.csv", label="organ").fit()
    assert {name: field.kind for name, field in schema.inputs.items()} == {
        "image": "image",
        "text": "text",
        "table": "table",
    }
    assert schema.inputs["table"].numbers == ("age", "y")
    assert schema.targets["organ"].names == ("chest", "head")
    rows = schema.describe()
    assert rows[0][:3] == ("image", "image", "image") and rows[0][3].startswith("12 x 10, grey, pad, pixels ")
    assert rows[-1] == ("organ", "class", "organ", "2 classes: chest, head")


def test_where_keeps_rows_by_their_own_numbers(folder):
    write_all(folder)
    image = {"image": fields.Image()}
    manifest = datasets.Manifest("rows.jsonl", inputs=image, where={"flag": True})
    examples = manifest.open(manifest.fit())
    assert [examples.where(i) for i in range(len(examples))] == ["rows.jsonl row 1", "rows.jsonl row 3"]
    several = datasets.Manifest("rows.csv", inputs=image, where={"organ": ("head", "knee"), "y": 1})
    assert [str(row) for row in several.source().rows] == ["rows.csv row 3"]


def test_a_manifest_under_the_shared_folder(folder, monkeypatch):
    shared = folder / "shared" / "set"
    shared.mkdir(parents=True)
    (folder / "a.png").rename(shared / "a.png")
    (shared / "rows.csv").write_text("image,y\na.png,0\na.png,1\n")
    manifest = datasets.Manifest("set/rows.csv", label="y")
    assert len(manifest.open(manifest.fit())) == 2


def test_quarantine_leaves_out_counts_and_lists(folder):
    (folder / "rows.csv").write_text("image,y\na.png,0\ngone.png,1\nb.png,1\nx\ngone.png,0\n")
    manifest = datasets.Manifest("rows.csv", label="y", on_bad_row="quarantine")
    examples = manifest.open(manifest.fit())
    assert [examples.where(i) for i in range(len(examples))] == ["rows.csv row 1", "rows.csv row 3"]
    assert examples.rejects == [
        {"row": 4, "file": "rows.csv", "reason": "has 1 cells, but the header names 2 columns"},
        {"row": 2, "file": "rows.csv", "reason": "gone.png does not exist"},
        {"row": 5, "file": "rows.csv", "reason": "gone.png does not exist"},
    ]
    assert examples.batch([0, 1]).targets["y"].values.tolist() == [0, 1]


def test_rows_that_do_not_fit_into_memory_are_read_when_asked_for(folder):
    (folder / "rows.csv").write_text("image,y\na.png,0\nb.png,1\na.png,1\n")
    manifest = datasets.Manifest("rows.csv", label="y")
    schema = manifest.fit()
    cached, lazy = manifest.open(schema), datasets.Manifest("rows.csv", label="y", cache_gb=0).open(schema)
    assert cached.cached and not lazy.cached
    for i in range(3):
        assert same(cached[i]["inputs"]["image"], lazy[i]["inputs"]["image"])
    np.testing.assert_array_equal(
        cached.batch([2, 0]).inputs["image"].values, lazy.batch([2, 0]).inputs["image"].values
    )


def test_a_row_found_bad_late_is_masked_and_listed_or_stops(folder):
    (folder / "rows.csv").write_text("image,y\na.png,0\nb.png,1\n")
    schema = datasets.Manifest("rows.csv", label="y").fit()
    stop = datasets.Manifest("rows.csv", label="y", cache_gb=0).open(schema)
    go_on = datasets.Manifest("rows.csv", label="y", cache_gb=0, on_bad_row="quarantine").open(schema)
    (folder / "b.png").write_text("spoilt")
    with pytest.raises(UserError, match=r"^rows.csv row 2: b.png is not a picture that Pillow knows; mend it or use"):
        stop.batch([0, 1])
    for _ in range(2):
        batch = go_on.batch([0, 1])
    assert batch.inputs["image"].mask.tolist() == [[True], [False]]
    assert batch.targets["y"].mask.tolist() == [True, False]
    assert [(reject["row"], reject["file"]) for reject in go_on.rejects] == [(2, "rows.csv")]


def test_a_modality_and_the_target_may_be_lacking(folder):
    write_all(folder)
    schema = datasets.Manifest("rows.csv", inputs=INPUTS, targets={"y": fields.Class()}).fit()
    (folder / "bare.csv").write_text("id,image\nseven,a.png\n,b.png\n")
    examples = datasets.Manifest("bare.csv").open(schema)
    assert examples.lacks == ("text", "table")
    batch = examples.batch([0, 1])
    assert not batch.inputs["text"].mask.any() and batch.inputs["text"].values.shape == (
        2,
        *schema.inputs["text"].shape,
    )
    assert batch.targets["y"].mask.tolist() == [False, False]
    assert [examples.identity(0), examples.identity(1)] == ["seven", "b.png"]


def test_files_stored_in_parquet_are_read_from_their_bytes(folder):
    rows = [
        {"image": {"bytes": (folder / "a.png").read_bytes(), "path": None}, "y": 0},
        {"image": {"bytes": None, "path": "b.png"}, "y": 1},
        {"image": None, "y": 1},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "rows.parquet")
    (folder / "rows.csv").write_text("image,y\na.png,0\nb.png,1\n,1\n")
    targets, inputs = {"y": fields.Class()}, {"image": fields.Image()}
    stored = datasets.Manifest("rows.parquet", inputs=inputs, targets=targets)
    named = datasets.Manifest("rows.csv", inputs=inputs, targets=targets)
    assert stored.fit() == named.fit()
    for i in range(3):
        assert same(stored.open(stored.fit())[i]["inputs"]["image"], named.open(named.fit())[i]["inputs"]["image"])


def test_a_manifest_is_plain_data():
    manifest = datasets.Manifest(
        "x.csv",
        inputs={"image": fields.Image(size=(8, 9)), "table": fields.Table(numbers=("a",))},
        where={"type": "closed", "organ": ("head", "chest")},
        fold=datasets.Fold(evenly="y"),
    )
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(manifest)))) == manifest
