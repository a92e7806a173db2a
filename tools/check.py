"""Format, lint, types and tests in one command: ``python tools/check.py [NAME ...]``.

Without names all four run, each to its end, with a line and its seconds; the exit status is 1 if any failed.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["pyright", "--pythonpath", sys.executable],
    "tests": ["pytest"],
}


def check(name: str) -> bool:
    """Run one check at the root of the house and say how it went."""
    start = time.perf_counter()
    # pyright would otherwise ask the package index for a newer version of itself.
    env = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run([sys.executable, "-m", *CHECKS[name]], cwd=Path(__file__).parents[1], env=env)
    passed = done.returncode == 0
    print(f"{name:<8}{'passed' if passed else 'FAILED'}  {time.perf_counter() - start:.1f} s", flush=True)
    return passed


def main(names: list[str]) -> int:
    """The named checks, or all of them. Returns the exit status."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"check: no check named {unknown[0]!r}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    results = [check(name) for name in names or CHECKS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
