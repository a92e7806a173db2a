"""``mmjax compare`` and ``mmjax fit`` for a manifest of one's own."""

import json

import pytest

MANIFEST = ["note,age,organ,label,patient"]
MANIFEST += [
    f"{['a red one', 'the blue one', 'a blue thing'][i % 3]} of {i},{20 + 3 * i % 41},{['chest', 'head'][i // 3 % 2]},"
    f"{['yes', 'no'][i % 2]},{i // 4}"
    for i in range(48)
]
QUICK = ("--run.steps", "2", "--optim.warmup", "0")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The current folder, with a manifest of texts, numbers and categories."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("\n".join(MANIFEST) + "\n")
    return tmp_path


def test_fit_needs_no_recipe(mine, say):
    status, (told,), err = say("fit", "train.csv", "--label", "label", *QUICK)
    assert status == 0 and told["workdir"] == "runs/train-1" and told["step"] == 2
    assert told["evaluations"]["val"]["count"] == 10 and "note: text" in err
    config = json.loads((mine / "runs/train-1/config.json").read_text())
    assert config["data"]["fold"]["held_out"] is False and config["evaluators"]["val"]["data"]["fold"]["held_out"]
    status, records, _ = say("predict", mine / "runs/train-1", "--note", "a red one")
    assert status == 0 and records[0]["heads"]["label"]["value"] in ("yes", "no")
    assert records[0]["missing"] == ["table"]


def test_fit_measures_on_the_file_that_is_given(mine, say):
    (mine / "other.csv").write_text("note,label\na red one,perhaps\nthe blue one,no\n")
    status, (told,), _ = say("fit", "train.csv", "--label", "label", "--val", "other.csv", *QUICK)
    found = told["evaluations"]["val"]
    assert status == 0 and found["count"] == 2
    assert found["heads"]["label"]["confusion"]["labels"] == ["no", "perhaps", "yes"]  # one that training never gives


def test_rows_of_one_patient_stay_together(mine):
    from mmjax import fit

    experiment = fit.experiment("train.csv", label="label", by="patient")
    taught, asked = (
        {row.cell("patient") for row in data.source().rows}
        for data in (experiment.data, experiment.evaluators["val"].data)
    )
    assert taught and asked and not taught & asked
    assert "patient" not in [c for field in experiment.data.fit().inputs.values() for c in field.columns]


def test_compare_a_manifest(mine, say):
    words = ("compare", "train.csv", "--label", "label", "--seeds", "1", "--fusions", "late", *QUICK)
    status, (told,), err = say(*words)
    assert status == 0 and told["workdir"] == "runs/train-compare-1" and told["reference"] == "multiplicative"
    assert {"majority", "note alone", "table alone", "product of experts", "late"} <= told["models"].keys()
    assert told["count"] == 10 and "product of experts" in err and "page: runs/train-compare-1/compare.html" in err
    assert {"compare.json", "compare.html", "comparison.json"} <= {p.name for p in (mine / told["workdir"]).iterdir()}
    status, (again,), err = say(*words, "--workdir", told["workdir"])
    assert status == 0 and again["models"] == told["models"] and err.count("(kept)") == 6
    status, out, err = say(*words, "--workdir", told["workdir"], "--optim.lr", "0.5")
    assert (status, out) == (2, []) and err.count("\n") == 1 and "experiment.optim.lr" in err


def test_help_lists_what_can_be_said(mine, capsys):
    from mmjax import cli

    assert cli.main(["compare", "train.csv", "--label", "label", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--model.encoders.note.width" in out and "--seeds N" in out and "label from train.csv" in out
    assert cli.main(["compare", "--help"]) == 0
    assert "fusions: late" in capsys.readouterr().out
    assert not (mine / "runs").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        (["compare"], "RECIPE.py or MANIFEST comes first"),
        (["compare", "train.csv"], "--label COLUMN is missing; train.csv is no recipe"),
        (["compare", "r.py", "--label", "x"], "are for a manifest; r.py is a recipe"),
        (["compare", "r.py", "--on_bad_row", "quarantine"], "are for a manifest"),
        (["compare", "r.py"], "there is no such recipe"),
        (["compare", "none.csv", "--label", "label"], "none.csv does not exist"),
        (["compare", "train.csv", "--label", "lable"], "train.csv has no column 'lable'; did you mean 'label'?"),
        (["compare", "train.csv", "--label", "label", "--seeds", "x"], "--seeds"),
        (["compare", "train.csv", "--label", "label", "--seeds", "0"], "seeds=0 must be at least 1"),
        (["compare", "train.csv", "--label", "label", "--fusions", "late,joined"], "there is no fusion 'joined'"),
        (["compare", "train.csv", "--label", "label", "--fusion", "late"], "did you mean"),
        (
            ["compare", "train.csv", "--label", "age"],
            "compare wants a head with one class a row ('age' is of kind number)",
        ),
        (["compare", "train.csv", "--label", "label", "--run.stpes", "3"], "did you mean --run.steps?"),
        (["compare", "train.csv", "--label", "label", "--workdir", "train.csv"], "not the folder of a comparison"),
        (["fit"], "MANIFEST comes first"),
        (["fit", "train.csv"], "--label COLUMN is missing"),
        (["fit", "train.csv", "--label", "label", "--val", "none.csv"], "none.csv does not exist"),
        (["fit", "train.csv", "--label", "label", "--by", "patent"], "did you mean 'patient'?"),
        (["fit", "train.csv", "--label", "label", "--on_bad_row", "skip"], "on_bad_row is 'skip'"),
        (["fit", "train.csv", "--label", "label", "--without", "aeg"], "no column 'aeg'; did you mean 'age'?"),
        (
            ["fit", "train.csv", "--label", "label", "--without", "note", "age", "organ", "patient"],
            "no column to learn",
        ),
        (["fit", "train.txt", "--label", "label"], "train.txt"),
    ],
)
def test_mistakes_are_one_line(mine, say, words, told):
    status, out, err = say(*words)
    assert (status, out) == (2, []) and err.startswith("mmjax: ") and err.count("\n") == 1
    assert told in err and not (mine / "runs").exists()
