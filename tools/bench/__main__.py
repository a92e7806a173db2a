"""``python -m tools.bench [NAME ...]``: a line of JSON a figure. ``--gpu``: models at their real size, on this GPU."""

import importlib
import os
import sys

NAMES = ("host", "compiling", "saving", "input")


def main(words: list[str]) -> int:
    """Print the figures of the named parts, or of all. Returns the exit status."""
    names = [word for word in words if word != "--gpu"] or (["accelerator"] if "--gpu" in words else list(NAMES))
    unknown = [name for name in names if name not in (*NAMES, "accelerator")]
    if unknown:
        print(f"bench: no figures named {unknown[0]!r}; there are {', '.join(NAMES)} and --gpu", file=sys.stderr)
        return 2
    if "--gpu" not in words:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    else:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch takes its turn on the same GPU
    for name in names:
        for figure in importlib.import_module(f"tools.bench.{name}").figures():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
