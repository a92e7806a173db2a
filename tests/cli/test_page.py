"""The command starts over once, with memory that is kept, in large pages."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import atexit, os, sys
os.write(2, os.environ.get("GLIBC_TUNABLES", "unset").encode() + b"\\n")
from mmjax.cli import main
atexit.register(lambda: print("children", os.environ.get("GLIBC_TUNABLES", "unset")))
sys.argv = ["mmjax", "--version"]
sys.exit(main())
"""


KEPT = (
    "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1099511627776"
)
FAULTS = """
import resource, threading
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    def fill():
        np.ones(2**23)
    for _ in range(2):
        thread = threading.Thread(target=fill)
        thread.start()
        thread.join()
        fill()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")


@glibc
def test_memory_that_was_freed_is_not_made_anew():
    env = os.environ | {"GLIBC_TUNABLES": KEPT}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=env, capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert second < first / 4


@glibc
@pytest.mark.parametrize(("told", "seen"), [(None, ["unset", KEPT]), ("", [""])])
def test_starts_over_once_unless_told_otherwise(told, seen):
    env = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    env |= {} if told is None else {"GLIBC_TUNABLES": told}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == seen
    assert "mmjax" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["children", *(["unset"] if told is None else [])]
