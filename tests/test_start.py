"""What README says is what happens."""

import re
import shlex
from pathlib import Path

import pytest

from mmjax.cli import grammar

HOUSE = Path(__file__).parents[1]
README = (HOUSE / "README.md").read_text("utf-8")


def commands():
    """Every mmjax command of README, without its options in brackets."""
    spans = re.findall(r"^    (.+)$", README, re.MULTILINE)
    return [words for span in spans for part in span.split("&&") if (words := shlex.split(part))[0] == "mmjax"]


def test_the_two_lines_are_there():
    lines = README.splitlines()
    assert "    pip install -e . && mmjax train experiments/digits.py" in lines
    assert "    pip install -e '.[dev]' && pytest" in lines


def test_commands_can_be_parsed():
    found = commands()
    assert {words[1] for words in found} == set(grammar.VERBS)
    for words in found:
        options = grammar.parse(words[1:])
        assert options.verb == words[1]
        for path in (word for word in words if word.startswith("experiments/")):
            assert (HOUSE / path).exists(), path


def test_verbs_and_rooms_are_on_the_map():
    assert {verb for verb in grammar.VERBS if f"| `{verb} " in README} == set(grammar.VERBS)
    rooms = {path.stem for path in (HOUSE / "mmjax").iterdir() if path.stem not in ("__init__", "__pycache__")}
    assert {room for room in rooms if f"`mmjax/{room}" in README} == rooms


def test_the_functional_example_runs(tmp_path, monkeypatch, capsys):
    """Word for word, and it is not longer than it says."""
    (code,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 22
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert "'value'" in capsys.readouterr().out
    assert (tmp_path / "runs/readme/config.json").exists()


@pytest.mark.parametrize("name", ["constraints.txt", "README.md", "pyproject.toml"])
def test_no_addresses_of_machines(name):
    text = (HOUSE / name).read_text("utf-8")
    assert not re.search(r"(https?://(?!arxiv\.org|github\.com))|/(home|root|work)/|file:", text)
