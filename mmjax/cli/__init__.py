"""The command ``mmjax``: what a person or a script says, and how it is answered.

Exit status: 0, or 2 for a mistake of the user's, told in one line; 128 + n where signal n stopped
it; 1 with a traceback for a fault of mmjax's own.
"""

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from mmjax.cli import grammar


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    if arguments is None:
        _hush()
        arguments = sys.argv[1:]
    try:
        return _run(grammar.parse(list(arguments)))
    except SystemExit as done:  # after --help, --version or one line about a mistake
        return int(done.code or 0)
    except BrokenPipeError:
        # The reader left, as `| head` does. What is still buffered must not raise again on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _hush() -> None:
    """Let libraries keep their remarks to themselves in a process that is the command's own; what matters is raised."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _run(options: grammar.Options) -> int:
    from mmjax.core import UserError

    try:
        verb = importlib.import_module("mmjax.cli.verb")
        status = getattr(verb, options.verb)(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        grammar.complain(" ".join(str(error).split()))
        return 2
    except KeyboardInterrupt:
        grammar.complain("interrupted")
        return 130
