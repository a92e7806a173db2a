"""What a comparison says while it goes: a bar for people at a terminal, a line a model for everyone."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmjax.train.page.wording import duration, number


class Told:
    """A context. ``begin`` a model, ``tick`` its steps, ``end`` it."""

    def __init__(self, models: int, *, quiet: bool):
        self._models, self._quiet, self._done = models, quiet, 0
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
            expand=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "Told":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, name: str, steps: int) -> None:
        """A model of so many steps, over all seeds."""
        self._bar.reset(self._task, total=steps, description=f"{self._done + 1}/{self._models} {name}")

    def tick(self, step: int) -> None:
        """So many steps are done."""
        self._bar.update(self._task, completed=step)

    def end(self, name: str, facts: Mapping[str, Any], *, accuracy: float | None, failed: str, kept: bool) -> None:
        """What the model came to. kept: it was finished before."""
        self._done += 1
        told = f"failed: {failed}" if failed else f"accuracy {number('accuracy', accuracy)}"
        spent = "kept" if kept else duration(facts.get("seconds", 0.0))
        self.say(f"{self._done}/{self._models}  {name}: {told}  ({spent})")

    def say(self, text: str) -> None:
        """A line for people."""
        if self._live:
            self._console.print(text, markup=False)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)
