"""Bad input through the real command: one clear line, exit status 2, nothing half-written."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

import pytest


def edit(path, old, new, count=1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def huge_png(path):
    """A well-formed header of 10,000 x 10,000 pixels, and next to nothing behind it."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def truncate(path, size):
    path.write_bytes(path.read_bytes()[:size])


def outside(d):
    shutil.copy(d / "pictures/3.png", d.parent / "outside.png")
    edit(d / "train.csv", "pictures/3.png", "../outside.png")


def linked(d):
    shutil.copy(d / "pictures/3.png", d.parent / "secret.png")
    (d / "pictures/3.png").unlink()
    (d / "pictures/3.png").symlink_to(d.parent / "secret.png")


# What is spoilt before `mmjax train recipe.py`, and what the line must name.
SPOILT = {
    "missing manifest": (lambda d: (d / "train.csv").unlink(), "train.csv does not exist"),
    "empty manifest": (lambda d: (d / "train.csv").write_text(""), "train.csv is empty"),
    "no rows": (
        lambda d: (d / "train.csv").write_text("id,image,sound,note,age,organ,label\n"),
        "train.csv has no rows",
    ),
    "a folder for a manifest": (
        lambda d: ((d / "train.csv").unlink(), (d / "train.csv").mkdir()),
        "train.csv is a folder",
    ),
    "a manifest that is not UTF-8": (
        lambda d: (d / "train.csv").write_bytes((d / "train.csv").read_bytes().replace(b"a red", b"\xff red", 1)),
        "train.csv is not UTF-8",
    ),
    "a wrong column": (lambda d: edit(d / "train.csv", "image", "imgae"), "no column 'image'; did you mean 'imgae'?"),
    "a column named twice": (lambda d: edit(d / "train.csv", "note,age", "note,note"), "column 'note' twice"),
    "a ragged row": (lambda d: edit(d / "train.csv", ",chest", ",chest,x"), "train.csv row 1: has 8 cells"),
    "an unclosed quote": (lambda d: edit(d / "train.csv", "a red", '"a red'), "train.csv"),
    "NaN in a table": (lambda d: edit(d / "train.csv", ",22,", ",nan,"), "train.csv row 3: age is nan"),
    "infinity in a table": (lambda d: edit(d / "train.csv", ",22,", ",inf,"), "train.csv row 3: age is inf"),
    "a word for a number": (lambda d: edit(d / "train.csv", ",22,", ",old,"), "row 3: age is 'old'"),
    "a missing picture": (lambda d: (d / "pictures/3.png").unlink(), "row 4: pictures/3.png does not exist"),
    "an empty picture": (lambda d: (d / "pictures/3.png").write_bytes(b""), "row 4: pictures/3.png is empty"),
    "a picture cut off": (lambda d: truncate(d / "pictures/3.png", 60), "row 4: pictures/3.png"),
    "a text for a picture": (lambda d: (d / "pictures/3.png").write_text("hello"), "row 4: pictures/3.png"),
    "a folder for a picture": (
        lambda d: ((d / "pictures/3.png").unlink(), (d / "pictures/3.png").mkdir()),
        "row 4: pictures/3.png is a folder",
    ),
    "a picture of 100 megapixels": (lambda d: huge_png(d / "pictures/3.png"), "row 4: pictures/3.png"),
    "an empty recording": (lambda d: (d / "3.wav").write_bytes(b""), "row 4: 3.wav is empty"),
    "a recording without samples": (lambda d: truncate(d / "3.wav", 44), "row 4: 3.wav"),
    "a recording cut off": (lambda d: truncate(d / "3.wav", 1000), "row 4: 3.wav"),
    "a recording cut in its header": (lambda d: truncate(d / "3.wav", 30), "row 4: 3.wav"),
    "a path that leaves the folder": (outside, "row 4: ../outside.png leaves the manifest's folder"),
    "a link that leaves the folder": (linked, "row 4: pictures/3.png leaves the manifest's folder"),
    "an absolute path": (lambda d: edit(d / "train.csv", "3.wav", f"{d}/3.wav"), "row 4"),
    "an unknown label at evaluation": (
        lambda d: edit(d / "val.csv", ",red", ",green"),
        "val.csv row 1: label is 'green'",
    ),
    "one class alone": (
        lambda d: (d / "train.csv").write_text((d / "train.csv").read_text().replace(",blue\n", ",red\n")),
        "only the class 'red'",
    ),
    "more classes than the head has": (
        lambda d: edit(d / "train.csv", ",red", ",green"),
        "model.heads.label.classes=2",
    ),
    "a batch that no rows fill": (lambda d: edit(d / "recipe.py", "batch=8)", "batch=0)"), "batch"),
    "a mistake in the recipe": (lambda d: edit(d / "recipe.py", "label=", "lable="), "recipe.py line 27: TypeError"),
    "a recipe that is no Python": (lambda d: (d / "recipe.py").write_text("def config("), "recipe.py line 1"),
    "a missing recipe": (lambda d: (d / "recipe.py").unlink(), "no such recipe"),
    "an objective without its head": (
        lambda d: edit(d / "recipe.py", 'CrossEntropy("label")', 'CrossEntropy("label", head="labl")'),
        "labl",
    ),
    "a folder that holds other things": (
        lambda d: ((d / "run").mkdir(), (d / "run/precious.txt").write_text("mine")),
        "not a run folder",
    ),
}


def check(status, out, err, told):
    assert status == 2, err
    assert not out
    assert err.startswith("mmjax: ") and err.endswith("\n") and err.count("\n") == 1
    assert told in err


@pytest.mark.parametrize("kind", SPOILT)
def test_training_refuses(kind, things, say):
    spoil, told = SPOILT[kind]
    spoil(things)
    before = sorted(things.rglob("*"))
    check(*say("train", "recipe.py", "--workdir", "run"), told)
    assert sorted(things.rglob("*")) == before


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--run.stepz", "3"], "did you mean --run.steps?"),
        (["--run.steps", "many"], "--run.steps"),
        (["--run.steps", "0"], "run.steps=0"),
        (["--optim.warmup", "9"], "optim.warmup=9"),
        (["--mesh.data", "3"], "devices"),
        (["--model.encoders.note.vocabulary", "3"], "model.encoders.note.vocabulary=3"),
        (["extra"], "extra"),
    ],
)
def test_training_refuses_flags(flags, told, things, say):
    before = sorted(things.rglob("*"))
    check(*say("train", "recipe.py", *flags), told)
    assert sorted(things.rglob("*")) == before


def test_quarantine_leaves_out_counts_and_lists(things, say):
    edit(
        things / "recipe.py",
        'label="label", inputs=INPUTS, batch=8)',
        'label="label", inputs=INPUTS, batch=8, on_bad_row="quarantine")',
        1,
    )
    (things / "pictures/3.png").write_bytes(b"")
    edit(things / "train.csv", ",26,", ",nan,")
    status, _, err = say("train", "recipe.py", "--workdir", "run")
    assert status == 0, err
    rejects = [json.loads(text) for text in (things / "run/rejects.jsonl").read_text().splitlines()]
    assert [reject["row"] for reject in rejects] == [4, 7]
    assert "pictures/3.png is empty" in rejects[0]["reason"]


# What is asked of a finished run, and what the line must name. {d} is the folder of its data.
ASKED = {
    "packed rows that are none": (["evaluate", "{d}/run", "--data", "{t}"], "holds no records"),
    "a folder without a run": (["evaluate", "{t}", "--data", "{d}/val.csv"], "not a run folder"),
    "no such folder": (["predict", "{t}/none", "{d}/val.csv"], "none"),
    "a missing manifest": (["evaluate", "{d}/run", "--data", "{t}/none.csv"], "none.csv does not exist"),
    "a manifest of an unknown kind": (["predict", "{d}/run", "{d}/recipe.py"], "recipe.py is no manifest"),
    "rows where nothing is so": (["evaluate", "{d}/run", "--data", "{d}/val.csv", "--where", "organ=ear"], "organ"),
    "a wrong column for where": (["evaluate", "{d}/run", "--data", "{d}/val.csv", "--where", "orgn=head"], "'organ'"),
    "neither manifest nor parts": (["predict", "{d}/run"], "MANIFEST"),
    "manifest and parts": (["predict", "{d}/run", "{d}/val.csv", "--note", "x"], "not both"),
    "an unknown modality": (["predict", "{d}/run", "--imge", "x.png"], "did you mean --image?"),
    "a text for a picture": (["predict", "{d}/run", "--image", "a red thing"], "image: a red thing does not exist"),
    "a table for a picture": (["predict", "{d}/run", "--image", "{d}/val.csv"], "image: "),
    "a picture for a recording": (["predict", "{d}/run", "--sound", "{d}/pictures/1.png"], "sound: "),
    "a folder for a picture": (["predict", "{d}/run", "--image", "{d}/pictures"], "is a folder"),
    "a table without equals": (["predict", "{d}/run", "--facts", "age"], "COLUMN=VALUE"),
    "a column that the table lacks": (["predict", "{d}/run", "--facts", "aeg=3"], "did you mean 'age'"),
    "a word for a number": (["predict", "{d}/run", "--facts", "age=old"], "age is 'old'"),
    "a run for a recipe": (["train", "{d}/run"], "no such recipe"),
    "flags for a finished run": (["show", "{d}/run", "--run.steps", "3"], "finished run"),
    "nothing to pack": (["pack", "{t}/none.csv", "{t}/out"], "none.csv does not exist"),
    "a file for packed rows": (["pack", "{d}/val.csv", "{d}/recipe.py"], "recipe.py cannot be written to"),
    "a full folder for packed rows": (["pack", "{d}/val.csv", "{d}/pictures"], "choose another OUT"),
    "an unknown form": (["pack", "{d}/val.csv", "{t}/out", "--form", "zip"], "it can be decoded or files"),
    "an unknown storage": (["pack", "{d}/val.csv", "xx://out"], "xx://out cannot be looked into"),
    "where for packed rows": (["evaluate", "{d}/run", "--data", "{t}", "--where", "organ=ear"], "--where"),
    "nothing to show": (["show", "{t}/none.py"], "no such recipe"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_a_run_is_asked_wrongly(kind, trained, tmp_path, say):
    words, told = ASKED[kind]
    check(*say(*(word.format(d=trained.parent, t=tmp_path) for word in words)), told)


# Manifests that a finished run refuses to predict or measure, and why.
REFUSED = {
    "not JSON": ("new.jsonl", '{"note": "red"}\n{"note": \n', "new.jsonl row 2: is not valid JSON"),
    "no object": ("new.jsonl", '{"note": "red"}\n[1, 2]\n', "row 2: is valid JSON but no object"),
    "of other columns": ("new.csv", "picture,text\nx.png,red\n", "no column of any modality"),
    "a missing file in it": ("new.csv", "image\nnowhere.png\n", "row 1: nowhere.png does not exist"),
    "a path out of it": ("new.csv", "image\n../../x.png\n", "leaves the manifest's folder"),
    "not Parquet": ("new.parquet", "PAR1 not really", "not a readable Parquet file"),
    "a header alone": ("new.tsv", "note\tage\n", "new.tsv has no rows"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_manifest_is_refused(kind, trained, tmp_path, say):
    name, text, told = REFUSED[kind]
    (tmp_path / name).write_text(text)
    check(*say("predict", trained, tmp_path / name), told)
    check(*say("evaluate", trained, "--data", tmp_path / name), told)


def test_a_bad_row_can_be_told_in_its_place(trained, tmp_path, say):
    (tmp_path / "new.csv").write_text("image,note\nnowhere.png,red\n,blue\n")
    status, records, err = say("predict", trained, tmp_path / "new.csv", "--on_bad_row", "quarantine")
    assert status == 0 and err.endswith("new.csv: 1 bad row left out\n") and err.count("\n") == 1
    assert "nowhere.png does not exist" in records[0]["error"] and records[1]["heads"]["label"]["value"]
    check(*say("predict", trained, tmp_path / "new.csv", "--on_bad_row", "ignore"), "ignore")


def test_nothing_to_measure(trained, tmp_path, say):
    (tmp_path / "new.csv").write_text("note\nred\nblue\n")
    check(*say("evaluate", trained, "--data", tmp_path / "new.csv"), "label")


@pytest.mark.parametrize(
    "name, text",
    [
        ("config.json", "{"),
        ("config.json", '{"type": "os.system"}'),
        ("config.json", '{"type": "mmjax.train.experiment.Run", "steps": 3}'),
        ("config.json", "[]"),
        ("schema.json", ""),
        ("schema.json", '{"type": "mmjax.data.schema.Schema", "inputs": {}, "targets": {}, "extra": 1}'),
    ],
)
def test_a_damaged_run_is_refused(name, text, trained, tmp_path, say):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / name).write_text(text)
    status, out, err = say("predict", tmp_path / "run", "--note", "blue")
    check(status, out, err, "")
    assert name in err or "mmjax.data" in err or "os.system" in err


def test_a_run_without_a_checkpoint_is_refused(trained, tmp_path, say):
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints")
    check(*say("predict", tmp_path / "run", "--note", "blue"), "no checkpoint")


def command(*words, cwd):
    """The command as a process of its own."""
    words = [sys.executable, "-c", "import sys; from mmjax.cli import main; sys.exit(main())", *map(str, words)]
    done = subprocess.run(words, cwd=cwd, env=os.environ, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_damaged_checkpoint_is_refused(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    for path in (tmp_path / "run/checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    # In a process of its own, for the checkpoint library leaves work unfinished that complains much later.
    check(*command("predict", "run", "--note", "blue", cwd=tmp_path), "checkpoint")


def test_the_real_command_says_one_line(things):
    (things / "pictures/3.png").write_text("hello")
    check(*command("train", "recipe.py", cwd=things), "row 4: pictures/3.png")
    assert not (things / "runs").exists()
