"""Answers for any subset of the modalities, in the order of the rows, with nothing replaced."""

import json

import jax
import numpy as np
import PIL.Image
import pytest

from mmjax import Multimodal, encoders, fields, fusion, heads, predict
from mmjax.core import UserError, modality
from mmjax.data import datasets, sources
from mmjax.data.examples import Examples

ROWS = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A manifest with a picture, a text and a table a row, and three kinds of answers."""
    path = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(ROWS):
        PIL.Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path / f"{i}.png")
        lines.append(
            {
                "id": f"case-{i}",
                "image": f"{i}.png",
                "note": ["a red thing", "a blue thing"][i % 2],
                "age": 20.0 + i,
                "organ": ["chest", "head"][i % 2],
                "kind": ["good", "bad", "odd"][i % 3],
                "signs": [["x"], ["x", "y"], []][i % 3],
                "dose": 100.0 + 10 * i,
            }
        )
    (path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def known(folder):
    """The fitted schema."""
    data = datasets.Manifest(
        str(folder / "train.jsonl"),
        inputs={
            "image": fields.Image(),
            "note": fields.Text(),
            "facts": fields.Table(numbers=("age",), categories=("organ",)),
        },
        targets={"kind": fields.Class(), "signs": fields.Classes(), "dose": fields.Number()},
    )
    return data.fit()


@pytest.fixture(scope="module")
def net(known):
    model = Multimodal(
        encoders={
            "image": encoders.Image(width=8, depth=0, heads=2, patch=4, convolutions=0),
            "note": encoders.Text(vocabulary=known.inputs["note"].size, width=8, depth=0, heads=2),
            "facts": encoders.Table(cardinalities=known.inputs["facts"].cardinalities, width=8, depth=0, heads=2),
        },
        fusion=fusion.Late(width=8),
        heads={
            "what": heads.Classify(3),
            "seen": heads.Classify(3, stream="image"),
            "signs": heads.MultiLabel(2),
            "dose": heads.Regress(),
        },
    )
    inputs = {name: field.batch([None]) for name, field in known.inputs.items()}
    return model, model.init(jax.random.key(0), inputs, train=False)


@pytest.fixture(scope="module")
def predictor(known, net):
    return predict.Predictor(net[0], known, net[1], targets={"what": "kind", "seen": "kind"}, batch=4)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_records_are_what_the_network_says(folder, known, net, predictor):
    records = list(predictor(folder / "train.jsonl"))
    assert [record["row"] for record in records] == list(range(ROWS))
    assert [record["id"] for record in records] == [f"case-{i}" for i in range(ROWS)]
    examples = Examples(sources.read(folder / "train.jsonl"), known)
    said = net[0].apply(net[1], examples.batch(np.arange(ROWS)).inputs, train=False).heads
    for i, record in enumerate(records):
        what, signs, dose = (record["heads"][name] for name in ("what", "signs", "dose"))
        odds = np.exp(said["what"][i]) / np.exp(said["what"][i]).sum()
        assert list(what["probabilities"]) == ["bad", "good", "odd"]
        np.testing.assert_allclose(list(what["probabilities"].values()), odds, rtol=1e-4)
        assert what["value"] == ["bad", "good", "odd"][int(odds.argmax())]
        assert what["probability"] == max(what["probabilities"].values())
        chance = 1 / (1 + np.exp(-np.asarray(said["signs"][i])))
        np.testing.assert_allclose(list(signs["probabilities"].values()), chance, rtol=1e-4)
        assert signs["value"] == [name for name, p in zip("xy", chance, strict=True) if p >= 0.5]
        # Doses are 100, 110, ... 160: mean 130, deviation 20.
        assert dose["value"] == pytest.approx(130 + 20 * float(said["dose"][i]), rel=1e-4)
        assert record["missing"] == []
    json.dumps(records, allow_nan=False)


@pytest.mark.parametrize("kept", [{"image"}, {"note"}, {"facts"}, {"image", "facts"}, {"image", "note"}])
def test_any_subset_is_enough(folder, tmp_path, known, net, predictor, kept):
    columns = {column for name in kept for column in known.inputs[name].columns}
    lines = [{column: row[column] for column in row if column in columns} for row in rows_of(folder)]
    records = list(predictor(write(folder / f"{'-'.join(sorted(kept))}.jsonl", lines)))
    examples = Examples(sources.read(folder / "train.jsonl"), known)
    inputs = modality.subset(examples.batch(np.arange(ROWS)).inputs, kept)
    said = net[0].apply(net[1], inputs, train=False).heads["dose"]
    assert [record["missing"] for record in records] == [[n for n in known.inputs if n not in kept]] * ROWS
    found = [record["heads"]["dose"]["value"] for record in records]
    np.testing.assert_allclose(found, 130 + 20 * np.asarray(said), rtol=1e-4)


def test_rows_keep_their_order_whatever_is_missing(folder, predictor):
    full = rows_of(folder)
    holes = [dict(row) for row in full]
    holes[1] = {"id": "empty"}
    holes[3] |= {"image": None, "note": ""}
    holes[4] |= {"age": None}
    records = list(predictor(write(folder / "holes.jsonl", holes)))
    assert [record["id"] for record in records] == ["case-0", "empty", *(f"case-{i}" for i in range(2, ROWS))]
    assert [record["missing"] for record in records] == [
        [], ["image", "note", "facts"], [], ["image", "note"], [], [], [],
    ]  # fmt: skip
    nothing = {"value": None, "probability": None, "probabilities": None}
    assert records[1]["heads"] == dict.fromkeys(("what", "seen", "signs", "dose"), nothing)
    assert [record["heads"]["seen"] == nothing for record in records] == [
        bool({"image"} & set(record["missing"])) for record in records
    ]  # it reads the picture alone
    whole = list(predictor(folder / "train.jsonl"))
    for i in (0, 2, 5, 6):
        assert records[i]["heads"]["dose"]["value"] == pytest.approx(whole[i]["heads"]["dose"]["value"])
    assert records[4]["heads"]["dose"]["value"] != pytest.approx(whole[4]["heads"]["dose"]["value"])


def test_one_example_by_its_parts_is_the_row(folder, predictor):
    (record,) = predictor(image=str(folder / "2.png"), note="a red thing", facts={"age": "22", "organ": "chest"})
    row = list(predictor(folder / "train.jsonl"))[2]
    assert record["heads"]["dose"]["value"] == pytest.approx(row["heads"]["dose"]["value"], rel=1e-5)
    assert record["row"] == 0 and record["missing"] == []
    (record,) = predictor(image=np.asarray(PIL.Image.open(folder / "2.png")))
    assert record["missing"] == ["note", "facts"]


def test_rows_in_memory_are_as_good_as_a_manifest(folder, predictor):
    rows = [row | {"image": str(folder / row["image"])} for row in rows_of(folder)]
    for a, b in zip(predictor(rows), predictor(folder / "train.jsonl"), strict=True):
        assert a["row"] == b["row"] and a["id"] == b["id"]
        assert a["heads"]["dose"]["value"] == pytest.approx(b["heads"]["dose"]["value"], rel=1e-5)


def test_a_bad_row_stops_or_is_told_in_its_place(folder, predictor):
    lines = rows_of(folder)
    lines[2]["image"] = "nowhere.png"
    lines[6]["age"] = "old"
    path = write(folder / "bad.jsonl", lines)
    with pytest.raises(UserError, match=r"bad\.jsonl row 3.*nowhere\.png does not exist"):
        list(predictor(path))
    records = list(predictor(path, on_bad_row="quarantine"))
    assert [record["row"] for record in records] == list(range(ROWS))
    assert [i for i, record in enumerate(records) if "error" in record] == [2, 6]
    assert "nowhere.png" in records[2]["error"] and records[2]["heads"] == {} and records[2]["id"] == "case-2"
    assert records[3]["heads"]["what"]["value"]


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"imge": "x.png"}, "did you mean 'image'"),
        ({"image": "nowhere.png"}, "image: nowhere.png does not exist"),
        ({"facts": {"aeg": 3}}, "did you mean 'age'"),
        ({"facts": {"age": "nan"}}, "facts: age"),
        ({}, "either a manifest or rows"),
    ],
)
def test_what_is_wrong_is_told(predictor, arguments, told):
    with pytest.raises(UserError, match=told):
        list(predictor(**arguments))


def test_what_is_no_number_is_never_an_answer(known, net):
    spoilt = jax.tree.map(lambda x: x * np.nan, net[1])
    with pytest.raises(UserError, match="gives NaN or infinity for the rows row 2; the run has diverged"):
        list(predict.Predictor(net[0], known, spoilt, targets={"what": "kind"})([{"id": "empty"}, {"note": "red"}]))


def test_what_was_left_out_is_told(folder, known, net):
    told = []
    lines = [{"note": "a red thing " * 200}, {"age": "old"}, {"note": "red"}]
    fresh = predict.Predictor(net[0], known, net[1], targets={"what": "kind"}, tell=told.append)
    assert len(list(fresh(lines, on_bad_row="quarantine"))) == 3
    assert told == [
        "the rows: 1 bad row left out",
        "the rows: note of 1 examples is longer than the model takes, and cut",
    ]


def test_a_manifest_of_something_else_is_refused(folder, predictor):
    with pytest.raises(UserError, match="no column of any modality"):
        list(predictor(write(folder / "other.jsonl", [{"picture": "0.png"}])))


def test_one_compilation_serves_any_number_of_rows(folder, known, net, monkeypatch):
    turns = []
    model = net[0]
    fresh = predict.Predictor(model, known, net[1], targets={"what": "kind"}, batch=4)
    original = type(model).__call__
    monkeypatch.setattr(type(model), "__call__", lambda *a, **k: turns.append(1) or original(*a, **k))
    for count in (7, 2, 5):
        assert len(list(fresh([{"note": "red"}] * count))) == count
    assert len(turns) == 1
