"""The command ``mmjax``: what a person or a script says, and how it is answered.

Exit status: 0, or 2 for a mistake of the user's, told in one line; 128 + n where signal n stopped
it; 1 with a traceback for a fault of mmjax's own.
"""

import importlib
import logging
import os
import platform
import sys
import warnings
from collections.abc import Sequence

from mmjax.cli import grammar
from mmjax.cli.parser import complain

_CACHE = 4 * 2**30  # bytes of compiled programs; the longest unused go first
# Large pages, one heap for all threads, nothing mapped apart from it and nothing given back: what a step frees is what
# the next one takes.
_MALLOC = {"hugetlb": 1, "arena_max": 1, "mmap_max": 0, "trim_threshold": 2**40}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    own = arguments is None
    if arguments is None:
        _page()
        _hush()
        arguments = sys.argv[1:]
    try:
        options = grammar.parse(list(arguments))
        if own:
            _keep_compiled()
        return _run(options)
    except SystemExit as done:  # after --help, --version or one line about a mistake
        return int(done.code or 0)
    except BrokenPipeError:
        # The reader left, as `| head` does. What is still buffered must not raise again on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _page() -> None:
    """Begin anew with memory that is kept, in large pages, in a process that is the command's own, with glibc.

    A step's temporaries would be fresh memory every time, and making it was a fifth of a step's time in small pages and
    a tenth in large ones (docs/measurements/step.md). The library reads how as it is loaded, so it cannot be told
    later. Whoever has set GLIBC_TUNABLES has decided already.
    """
    ours = ":".join(f"glibc.malloc.{name}={value}" for name, value in _MALLOC.items())
    read = sys.orig_argv[1:2] in ([], ["-"])  # code from standard input, which cannot be read again
    if os.environ.get("GLIBC_TUNABLES") == ours:
        del os.environ["GLIBC_TUNABLES"]  # read by now; those that read data beside this one give back what they free
    elif "GLIBC_TUNABLES" not in os.environ and platform.libc_ver()[0] == "glibc" and not read:
        os.environ["GLIBC_TUNABLES"] = ours
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _hush() -> None:
    """Let libraries keep their remarks to themselves in a process that is the command's own; what matters is raised."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _keep_compiled() -> None:
    """Keep what is compiled for the next run, in a process that is the command's own, unless jax is told otherwise."""
    import jax

    folder = os.environ.get("MMJAX_CACHE", os.path.join(_caches(), "mmjax", f"jax-{jax.__version__}"))
    if folder and jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", os.path.abspath(os.path.expanduser(folder)))
        jax.config.update("jax_compilation_cache_max_size", _CACHE)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _caches() -> str:
    return os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")


def _run(options: grammar.Options) -> int:
    from mmjax.core import UserError
    from mmjax.train import cluster

    try:
        verb = importlib.import_module("mmjax.cli.verb")
        if hasattr(options, "coordinator") and not options.help:
            cluster.join(options.coordinator, options.processes, options.process)
        with cluster.together():
            status = getattr(verb, options.verb)(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        complain(" ".join(str(error).split()))
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
