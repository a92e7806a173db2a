"""A few steps under jax's profiler, to see where a step's time goes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from mmjax.core import UserError

PROFILE = "profile"


class Profile:
    """Records steps ``first`` to ``last`` of a run into ``folder``; a window of None records nothing.

    What is recorded can be opened with XProf and TensorBoard, and ``perfetto_trace.json.gz`` with ui.perfetto.dev.
    """

    def __init__(self, window: tuple[int, int] | None, folder: Path | None):
        self._window, self._folder, self._running = window, folder, False

    def check(self, start: int, steps: int) -> None:
        """Raises UserError where a run from after step ``start`` to ``steps`` has no such steps."""
        if self._window is None:
            return
        first, last = self._window
        if self._folder is None:
            raise UserError("a profile is written into the run folder; give a workdir")
        if not start < first <= last <= steps:
            raise UserError(f"profile {first}:{last} is not within steps {start + 1} to {steps} of this run")

    @contextlib.contextmanager
    def step(self, number: int, before: Any) -> Iterator[None]:
        """The context of one step. before: the state that it starts from, waited for as the recording begins."""
        if self._window is None or not self._window[0] <= number <= self._window[1]:
            yield
            return
        if not self._running:
            jax.block_until_ready(before)
            jax.profiler.start_trace(str(self._folder), create_perfetto_trace=True)
            self._running = True
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield

    def after(self, number: int, now: Any) -> None:
        """Once step ``number`` came to ``now``: the recording ends where it was the last one."""
        if self._running and self._window is not None and number >= self._window[1]:
            jax.block_until_ready(now)
            self.close()

    def close(self) -> None:
        """End a recording that is under way."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
