"""An experiment that suits a manifest: encoders by kind of column, sizes by how much there is."""

import numpy as np
import pytest

import mmjax
from mmjax import encoders, fields, fit, heads, objectives
from mmjax.core import UserError, plain


def manifest(folder, rows, *, label=lambda i: "ab"[i % 2]):
    """Words, numbers and a category."""
    lines = ["words,size,kind,y"]
    lines += [f"word {i % 7} and {i % 5},{i % 11},{'uvw'[i % 3]},{label(i)}" for i in range(rows)]
    path = folder / f"rows{rows}.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_sizes_follow_the_number_of_rows(tmp_path):
    small, large = (fit.experiment(manifest(tmp_path, rows), label="y") for rows in (40, 1_000))
    assert small.model.fusion.width == 32 and large.model.fusion.width == 64
    assert small.data.batch == 8 and large.data.batch == 64
    assert (small.run.steps, large.run.steps) == (200, 375)
    assert small.model.encoders["words"].vocabulary == small.data.fit().inputs["words"].size
    assert small.evaluators["val"].subsets and small.modality_dropout > 0
    assert plain.from_plain(plain.to_plain(small)) == small


def test_held_out_rows_are_even_and_apart(tmp_path):
    experiment = fit.experiment(manifest(tmp_path, 50, label=lambda i: "abbbb"[i % 5]), label="y")
    taught, asked = (
        [(row.number, row.cell("y")) for row in data.source().rows]
        for data in (experiment.data, experiment.evaluators["val"].data)
    )
    assert sorted([*taught, *asked]) == [(i + 1, "abbbb"[i % 5]) for i in range(50)]
    assert [y for _, y in asked].count("a") == 2 and len(asked) == 10


@pytest.mark.parametrize(
    "label, head, objective",
    [
        (lambda i: "ab"[i % 2], heads.Classify, objectives.CrossEntropy),
        (lambda i: f"{i * 0.37:.2f}", heads.Regress, objectives.SquaredError),
        (lambda i: ["x", "x;y", "y", "y;z", "x;z", "z"][i % 6], heads.MultiLabel, objectives.BinaryCrossEntropy),
    ],
)
def test_heads_follow_the_label(tmp_path, label, head, objective):
    experiment = fit.experiment(manifest(tmp_path, 48, label=label), label="y")
    assert isinstance(experiment.model.heads["y"], head) and isinstance(experiment.objectives["y"], objective)


@pytest.mark.parametrize(
    "field, encoder",
    [
        (fields.Image("x", size=28, channels=1), encoders.Image(patch=4, convolutions=2)),
        (fields.Image("x", size=8, channels=3), encoders.Image(patch=1, convolutions=0)),
        (fields.Image("x", size=(224, 160), channels=3), encoders.Image(patch=32, convolutions=5)),
        (fields.Audio("x", rate=8_000, seconds=1.0), encoders.Audio(rate=8_000, mels=40, convolutions=0)),
        (fields.Audio("x", rate=16_000, seconds=5.0), encoders.Audio(rate=16_000, mels=64, convolutions=3)),
        (fields.Sensor("x", channels=("a",), length=100), encoders.Sensor(patch=4)),
        (fields.Table(("a",), ("b",), vocabularies={"b": ("u", "v")}), encoders.Table(cardinalities=(0, 3))),
    ],
)
def test_encoders_follow_the_kind(field, encoder):
    found = fit.encoder(field, width=64, rows=1_000)
    assert type(found) is type(encoder)
    for name in ("patch", "convolutions", "rate", "mels", "cardinalities"):
        assert getattr(found, name, None) == getattr(encoder, name, None)
    if field.kind in ("image", "audio", "sensor"):
        tokens = found.tokens(*(field.shape[:2] if field.kind == "image" else field.shape[:1]))
        assert 16 <= tokens <= 128


def test_it_learns(tmp_path):
    """Words that tell the class, and a number that does not."""
    rng = np.random.default_rng(0)
    words = {"a": ["sun", "moon", "star"], "b": ["leaf", "root", "stem"]}
    lines = ["words,size,y"]
    for _ in range(120):
        y = "ab"[rng.integers(2)]
        lines.append(f"the {rng.choice(words[y])} is {rng.choice(['high', 'low', 'old'])},{rng.normal():.3f},{y}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = mmjax.fit(str(tmp_path / "t.csv"), label="y", quiet=True)
    assert found.evaluations["val"]["heads"]["y"]["accuracy"]["value"] >= 0.9


def test_kinds_without_an_encoder_are_told():
    with pytest.raises(UserError, match="no encoder for a modality of kind 'number'"):
        fit.encoder(fields.Number("x"), width=8, rows=10)


def test_columns_can_be_left_out(tmp_path):
    experiment = fit.experiment(manifest(tmp_path, 40), label="y", without=["words", "size"])
    assert list(experiment.model.encoders) == ["table"]
    assert experiment.data.fit().inputs["table"].columns == ("kind",)
    assert plain.from_plain(plain.to_plain(experiment)) == experiment
