"""The verbs do what they promise, and what they print is the contract."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

METRIC = {"value", "low", "high"}


def test_train_evaluate_predict(things, say):
    status, (told,), err = say("train", "recipe.py")
    assert status == 0
    assert told.keys() == {"workdir", "step", "seconds", "evaluations"}
    assert told["workdir"] == "runs/recipe-1" and told["step"] == 4 and told["seconds"] > 0
    assert told["evaluations"]["val"]["count"] == 8
    assert told["evaluations"]["val"]["heads"]["label"]["accuracy"].keys() >= METRIC
    assert "runs/recipe-1" in err
    run = things / "runs/recipe-1"
    assert {"config.json", "schema.json", "metrics.jsonl", "report.json", "report.html", "checkpoints"} <= {
        path.name for path in run.iterdir()
    }

    status, (again,), _ = say("evaluate", run, "--data", "val.csv")
    assert status == 0
    assert again == told["evaluations"]["val"]

    status, records, err = say("predict", run, "val.csv")
    assert status == 0 and not err
    assert [record["row"] for record in records] == list(range(8))
    assert [record["id"] for record in records] == [str(i) for i in range(16, 24)]
    right = sum(record["heads"]["label"]["value"] == ["red", "blue"][i % 2] for i, record in enumerate(records))
    assert right / 8 == pytest.approx(told["evaluations"]["val"]["heads"]["label"]["accuracy"]["value"])


def test_packed_rows_are_measured_as_their_manifest(trained, tmp_path, say):
    manifest = trained.parent / "val.csv"
    status, (told,), err = say("pack", manifest, tmp_path / "val", "--label", "label", "--form", "files", "--rows", "3")
    assert status == 0 and err.endswith("8 of 8 rows\n")
    assert told == {"records": str(tmp_path / "val"), "rows": 8, "shards": 3, "rejects": []}
    (_, (packed,), _), (_, (rows,), _) = (say("evaluate", trained, "--data", x) for x in (tmp_path / "val", manifest))
    assert packed == rows


def test_a_run_goes_on(things, say):
    assert say("train", "recipe.py", "--workdir", "w", "--run.steps", "2")[0] == 0
    status, (told,), _ = say("train", "recipe.py", "--workdir", "w", "--run.steps", "4")
    assert status == 0 and told["step"] == 4
    steps = [json.loads(line).get("step") for line in (things / "w/metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_second_run_gets_its_own_folder_and_its_own_width(things, say):
    for name in ("recipe-1", "recipe-3"):
        (things / "runs" / name).mkdir(parents=True)
    status, (told,), _ = say("train", "recipe.py", "--model.encoders.image.width", "12", "--run.steps", "1")
    assert (status, told["workdir"], told["step"]) == (0, "runs/recipe-2", 1)
    config = json.loads((things / "runs/recipe-2/config.json").read_text())
    assert config["model"]["encoders"]["image"]["width"] == 12
    assert config["model"]["encoders"]["sound"]["width"] == 8


def test_help_of_a_recipe_lists_its_flags(things, capsys):
    from mmjax import cli

    assert cli.main(["train", "recipe.py", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Is the thing red or blue?" in out
    assert "--model.encoders.image.width" in out and "--optim.lr" in out and "0.03" in out
    assert not list(things.glob("runs"))


def test_evaluate_takes_some_rows(trained, say):
    status, (told,), _ = say(
        "evaluate", trained, "--data", trained.parent / "val.csv", "--where", "organ=head", "label=blue"
    )
    assert status == 0 and told["count"] == 4


@pytest.mark.parametrize("kept", ["image", "sound", "note", "age,organ", "image,note"])
def test_predict_needs_no_more_than_one_modality(trained, say, tmp_path, kept):
    from csv import DictReader, DictWriter

    with (trained.parent / "val.csv").open() as file:
        rows = list(DictReader(file))
    path = trained.parent / f"only-{kept.replace(',', '-')}.csv"
    with path.open("w") as file:
        writer = DictWriter(file, kept.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    status, records, _ = say("predict", trained, path)
    assert status == 0 and len(records) == 8
    given = {"facts" if name in ("age", "organ") else name for name in kept.split(",")}
    assert all(set(record["missing"]) == {"image", "sound", "note", "facts"} - given for record in records)
    assert all(record["heads"]["label"]["value"] in ("red", "blue") for record in records)


def test_predict_one_example_by_its_parts(trained, say):
    data = trained.parent
    _, whole, _ = say("predict", trained, data / "val.csv")
    status, (record,), _ = say(
        "predict", trained, "--image", data / "pictures/16.png", "--sound", data / "16.wav",
        "--note", "a red thing", "--facts", "age=36", "organ=chest",
    )  # fmt: skip
    assert status == 0 and record["missing"] == []
    chances = record["heads"]["label"]["probabilities"]
    assert chances == pytest.approx(whole[0]["heads"]["label"]["probabilities"], abs=1e-5)
    status, (record,), _ = say("predict", trained, "--note", "blue")
    assert status == 0 and record["missing"] == ["image", "sound", "facts"]


def test_predict_help_lists_the_modalities(trained, capsys):
    from mmjax import cli

    assert cli.main(["predict", str(trained), "--help"]) == 0
    out = capsys.readouterr().out
    for flag in ("--image FILE", "--sound FILE", "--note TEXT", "--facts COLUMN=VALUE"):
        assert flag in out


def test_a_run_folder_needs_nothing_else(trained, say, tmp_path):
    """Neither the recipe, nor the manifests, nor the place where it was made."""
    import shutil

    shutil.copytree(trained, tmp_path / "moved")
    status, (record,), _ = say("predict", tmp_path / "moved", "--note", "blue")
    assert status == 0 and record["heads"]["label"]["value"] in ("red", "blue")


def test_show(things, trained, say):
    status, (told,), err = say("show", "recipe.py", "--model.encoders.image.width", "16")
    assert status == 0 and "parameters" in err
    assert told.keys() == {"parameters", "flops", "memory", "mesh", "shardings", "notes", "schema"}
    status, (again,), _ = say("show", trained)
    assert status == 0
    assert again["parameters"]["total"] < told["parameters"]["total"]
    assert not list(things.glob("runs"))


def mmjax(*words, cwd):
    """The command as a process of its own, on one device."""
    cache = Path(__file__).parents[2] / ".jax_cache"
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "1", "JAX_COMPILATION_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", "import sys; from mmjax.cli import main; sys.exit(main())", *map(str, words)]
    return subprocess.Popen(command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("sign, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_it_saves_and_leaves(things, say, sign, status):
    process = mmjax("train", "recipe.py", "--workdir", "w", "--run.steps", "1000000", cwd=things)
    log = things / "w/metrics.jsonl"
    until = time.monotonic() + 120
    while not (log.exists() and log.read_text()) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert not out and "Traceback" not in err and "--workdir w" in err.splitlines()[-1]
    step = max(int(path.name) for path in (things / "w/checkpoints").iterdir() if path.name.isdigit())
    assert step >= 2


def test_a_reader_that_leaves_is_no_error(trained):
    with mmjax("predict", trained, trained.parent / "train.csv", cwd=trained.parent) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
