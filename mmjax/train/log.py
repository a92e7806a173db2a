"""What a run says while it goes: ``metrics.jsonl``, TensorBoard, and a bar or plain lines for people."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"
_FLUSH = 10  # seconds after which TensorBoard sees an event


class Log:
    """A context in which steps and evaluations are written down, each step once.

    folder: the run's, or None to write no files. start: the step that the run goes on from; what the
    files hold of later steps, which are now done again, is cut off. quiet: nothing on standard error.
    """

    def __init__(self, folder: Path | None, *, steps: int, start: int = 0, quiet: bool = False):
        self._folder, self._steps, self._start, self._quiet = folder, steps, start, quiet
        self._file: Any = None
        self._board: Any = None
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            console=self._console,
            disable=not self._live,
            expand=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=steps, completed=start, facts="")
        self._logged, self._since = start, 0.0
        self._first: tuple[int, float] | None = None  # step and time of the first point, by when all is compiled

    def __enter__(self) -> "Log":
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            _cut(self._folder / METRICS, self._start, self._steps)
            self._file = open(self._folder / METRICS, "a", buffering=1, encoding="utf-8")
            from tensorboardX import SummaryWriter

            purge = self._start + 1 if self._start else None
            self._board = SummaryWriter(str(self._folder / TENSORBOARD), purge_step=purge, flush_secs=_FLUSH)
        self._bar.start()
        self._since = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._file is not None:
            self._file.close()
            self._board.close()

    def step(self, step: int, values: Mapping[str, float], *, examples: int) -> None:
        """One point of the curves. examples: how many were trained on since the last point.

        Raises ValueError for NaN or infinity: JSON has no word for them, and a run should not go on with them.
        """
        seconds = max(time.monotonic() - self._since, 1e-9)
        record = {name: float(value) for name, value in values.items()}
        record["examples_per_second"] = examples / seconds
        self._write(step, {"step": step, **record}, record)
        facts = f"{_facts(record)}{self._left(step)}"
        self._bar.update(self._task, completed=step, facts=facts)
        self._plain(f"step {step}/{self._steps}  {facts}")
        self._logged, self._since = step, time.monotonic()

    def tick(self, step: int) -> None:
        """Move the bar alone; cheap enough for every step."""
        self._bar.update(self._task, completed=step)

    def evaluation(self, step: int, name: str, result: Mapping[str, Any]) -> None:
        """The figures of ``{"count", "heads": {head: metrics}}``; tables and matrices are for the report."""
        metrics = {head: figures(found) for head, found in result["heads"].items()}
        flat = {
            f"{name}/{head}/{metric}": figure["value"]
            for head, found in metrics.items()
            for metric, figure in found.items()
            if figure["value"] is not None
        }
        self._write(step, {"step": step, "evaluation": name, "metrics": metrics}, flat)
        shown = [f"{head} {metric} {found[metric]['value']:.4g}" for head, found in metrics.items()
                 for metric in [headline(found)] if metric]  # fmt: skip
        self.say(f"step {step}  {name}: {', '.join(shown)}")
        if step == self._logged:  # the evaluation's own time is no training
            self._since = time.monotonic()

    def say(self, text: str) -> None:
        """One line for people, above the bar."""
        if self._live:
            self._console.print(text, markup=False)
        else:
            self._plain(text)

    def _left(self, step: int) -> str:
        """The time left at the pace since the first point, evaluations included."""
        now = time.monotonic()
        if self._first is None:
            self._first = step, now
            return ""
        first, since = self._first
        return f"  {_clock((self._steps - step) * (now - since) / (step - first))} left" if step < self._steps else ""

    def _plain(self, text: str) -> None:
        if not self._live and not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def _write(self, step: int, record: Mapping[str, Any], scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value} at step {step}")
        if self._file is not None:
            self._file.write(json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n")
            for name, value in scalars.items():
                self._board.add_scalar(name, value, step)


def figures(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The figures among a head's metrics: what has a value and perhaps an interval."""
    return {name: figure for name, figure in metrics.items() if isinstance(figure, Mapping) and "value" in figure}


def headline(found: Mapping[str, Any]) -> str | None:
    """The figure that says most in one number."""
    for name in ("accuracy", "f1_macro", "r2", *found):
        if name in found and found[name]["value"] is not None:
            return name
    return None


def read(folder: Path) -> list[dict[str, Any]]:
    """All records of a run's ``metrics.jsonl``, none without one; a line cut short by a kill is left out."""
    path = folder / METRICS
    if not path.exists():
        return []
    records = [_record(line) for line in path.read_bytes().splitlines()]
    return [record for record in records if record is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def _cut(path: Path, start: int, steps: int) -> None:
    """Leave only what is not done again: steps up to ``start``, and a last step's evaluations never."""
    if not path.exists():
        return
    kept = [
        record
        for record in read(path.parent)
        if record["step"] <= start and not (record["step"] == start == steps and "evaluation" in record)
    ]
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept), encoding="utf-8")
    os.replace(temporary, path)


def _facts(record: Mapping[str, float]) -> str:
    loss = f"loss {record['loss']:.4g}  " if "loss" in record else ""
    for name in ("reward", "divergence"):  # of a rollout
        loss += f"{name} {record[name]:.4g}  " if name in record else ""
    return f"{loss}{record['examples_per_second']:,.0f} examples/s"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
