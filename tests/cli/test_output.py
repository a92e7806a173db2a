"""What is printed suits whoever reads it: any encoding, any width, any machine."""

import dataclasses
import io
import json
import shutil
import sys

from mmjax import cli
from mmjax.cli import verb
from mmjax.train import Mesh
from mmjax.train.folder import Folder


def test_answers_reach_a_reader_that_knows_no_utf_8(monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    verb._say({"value": "grün", "sign": "\u2713"})
    assert json.loads(out.getvalue()) == {"value": "grün", "sign": "\u2713"} and out.getvalue().count(b"\n") == 1


def test_flags_are_not_folded_where_nobody_looks(things, capsys, monkeypatch):
    recipe = things / "recipe.py"
    recipe.write_text(recipe.read_text().replace('"image"', f'"{"picture" * 12}"'))
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["train", "recipe.py", "--help"]) == 0
    out = capsys.readouterr().out
    assert any(line.startswith(f"--model.encoders.{'picture' * 12}.width ") for line in out.splitlines())


def test_a_run_of_a_larger_machine_can_be_shown(trained, tmp_path, say):
    shutil.copytree(trained, tmp_path / "run")
    folder = Folder(tmp_path / "run")
    folder.update(dataclasses.replace(folder.experiment(), mesh=Mesh(data=64, fsdp=32)))
    status, (told,), _ = say("show", tmp_path / "run")
    assert status == 0 and told["mesh"]["fsdp"] == 1
