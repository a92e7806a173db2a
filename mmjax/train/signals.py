"""SIGTERM and Ctrl-C as a wish to stop, which the loop grants between two steps."""

import shlex
import signal
import threading
from types import FrameType
from typing import Any

import jax
import numpy as np


class Interrupted(Exception):
    """The run was asked to stop, saved its state and left. status: the exit status that the shell expects."""

    def __init__(self, signum: int, step: int, workdir: str | None, *, of: str = ""):
        """of: the one of several models that was at work, where those that were finished are what is saved."""
        way = f"saved, go on with --workdir {shlex.quote(workdir)}" if workdir else ""
        saved = f"; {'all before it are ' if of else ''}{way}" if way else ""
        of = f" of {of!r}" if of else ""
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}{of}{saved}")
        self.status = 128 + signum


class Wish:
    """A context that notes SIGTERM and SIGINT; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.signum = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Wish":
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, previous in self._previous.items():
            signal.signal(signum, previous)

    def agreed(self) -> int:
        """The signal that any process got; all processes must ask at the same step."""
        if jax.process_count() == 1:
            return self.signum
        from jax.experimental import multihost_utils

        return int(np.max(multihost_utils.process_allgather(np.int32(self.signum))))

    def _note(self, signum: int, _: FrameType | None) -> None:
        if self.signum == signal.SIGINT == signum:
            raise KeyboardInterrupt
        self.signum = signum
