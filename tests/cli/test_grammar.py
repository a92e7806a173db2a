"""Help that reads well, mistakes that are one line, and a start that costs nothing."""

import subprocess
import sys
import time

import pytest

from mmjax import __version__, cli
from mmjax.cli import given, grammar


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_the_verbs(words, capsys):
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert not err
    for verb in grammar.VERBS:
        assert f"\n  {verb} " in out


@pytest.mark.parametrize("verb", grammar.VERBS)
def test_every_verb_has_help(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: mmjax {verb} ") and not err
    assert max(map(len, out.splitlines())) <= 120


def test_train_help_tells_of_the_environment(capsys):
    cli.main(["train", "--help"])
    assert "MMJAX_DATA" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mmjax {__version__}\n"


@pytest.mark.parametrize(
    "words, told",
    [
        (["trian"], "did you mean train?"),
        (["fly"], "there is no verb 'fly'"),
        (["--vresion"], "did you mean --version?"),
        (["train"], "RECIPE.py comes first"),
        (["train", "--workdir", "x"], "RECIPE.py comes first"),
        (["train", "r.py", "--workdir"], "--workdir"),
        (["evaluate"], "DIR comes first"),
        (["evaluate", "run"], "--data MANIFEST is missing"),
        (["evaluate", "run", "--dta", "x.csv"], "did you mean --data?"),
        (["evaluate", "run", "--data", "x.csv", "y.csv"], "unexpected 'y.csv'"),
        (["evaluate", "run", "--data", "x.csv", "--where", "organ"], "COLUMN=VALUE"),
        (["show"], "comes first"),
        (["predict"], "DIR comes first"),
    ],
)
def test_mistakes_are_one_line(words, told, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("mmjax: ") and err.count("\n") == 1
    assert told in err


def test_words_are_understood():
    options = grammar.parse(["train", "r.py", "--run.steps", "5", "--workdir", "w", "--mesh.data", "-1"])
    assert (options.recipe, options.workdir) == ("r.py", "w")
    assert options.overrides == ["--run.steps", "5", "--mesh.data", "-1"]
    options = grammar.parse(["evaluate", "run", "--where", "a=1", "--data", "m.csv", "--where", "b=x=y", "c="])
    assert (options.workdir, options.data, options.where) == ("run", "m.csv", {"a": "1", "b": "x=y", "c": ""})


def test_help_is_quick():
    """Under a second, and nothing heavy is loaded for it (best of three)."""
    code = (
        "import sys; from mmjax import cli; cli.main(['train', '--help']);"
        "sys.exit(any(name in sys.modules for name in ('jax', 'numpy', 'flax', 'tyro', 'rich')))"
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
        assert done.returncode == 0
        if min(times) < 1:
            return
    raise AssertionError(f"help took {min(times):.1f} s")


def test_a_modality_called_help_leaves_help_what_it_is():
    modalities = [("help", "TEXT", False), ("note", "TEXT", False)]
    for parser in (given.predict_parser(modalities), given.generate_parser(modalities)):
        said = parser.parse_args(["--note", "words"])
        assert given.parts(said, modalities, parser) == {"note": ["words"]}


def test_help_of_a_run_is_that_of_the_verb(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path), "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: mmjax show ")


def test_a_modality_may_have_any_name():
    modalities = [("x-ray", "FILE", False), ("manifest", "TEXT", False), ("table", "COLUMN=VALUE", True)]
    parser = given.predict_parser(modalities)
    said = parser.parse_args(["--x-ray", "a.png", "--manifest", "words", "--table", "a=1", "b=2"])
    found = given.parts(said, modalities, parser)
    assert found == {"x-ray": ["a.png"], "manifest": ["words"], "table": [{"a": "1", "b": "2"}]}
    assert said.manifest is None
