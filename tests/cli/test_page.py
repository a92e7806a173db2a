"""The command starts over once, with memory in large pages."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import os, sys
os.write(2, os.environ.get("GLIBC_TUNABLES", "unset").encode() + b"\\n")
from mmjax.cli import main
sys.argv = ["mmjax", "--version"]
sys.exit(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.parametrize(("told", "seen"), [(None, ["unset", "glibc.malloc.hugetlb=1"]), ("", [""])])
def test_starts_over_once_unless_told_otherwise(told, seen):
    env = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    env |= {} if told is None else {"GLIBC_TUNABLES": told}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == seen
    assert "mmjax" in done.stdout
