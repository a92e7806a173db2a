"""What is compiled is kept for the next run of the command, unless jax is told otherwise."""

import os
import subprocess
import sys

import pytest

CODE = (
    "import sys; sys.argv = ['mmjax', 'show', 'nothing.py']; from mmjax import cli; cli.main();"
    "import jax; print(jax.config.jax_compilation_cache_dir)"
)


@pytest.mark.parametrize(
    "said, kept",
    [
        ({}, "{home}/.cache/mmjax/jax-"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/mmjax/jax-"),
        ({"MMJAX_CACHE": "~/mine"}, "{home}/mine"),
        ({"MMJAX_CACHE": ""}, "None"),
        ({"JAX_COMPILATION_CACHE_DIR": "/y"}, "/y"),
    ],
)
def test_where_compiled_programs_are_kept(said, kept, tmp_path):
    env = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    env |= {"HOME": str(tmp_path), **said}
    out = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=env).stdout
    assert out.strip().startswith(kept.format(home=tmp_path))


def test_a_profile_is_two_steps(capsys):
    from mmjax import cli
    from mmjax.cli import grammar

    assert grammar.parse(["train", "r.py", "--profile", "10:15"]).profile == (10, 15)
    assert grammar.parse(["train", "r.py"]).profile is None
    assert cli.main(["train", "r.py", "--profile", "ten"]) == 2
    assert "--profile wants the first and the last step as A:B, got 'ten'" in capsys.readouterr().err
