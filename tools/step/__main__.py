"""``python -m tools.step [SHAPE ...] [--torch PYTHON] [--turns N]``: a JSON line a shape, medians and median ratios.

Every turn takes one step of each; so whatever else the machine does falls on all alike. Seconds are those of the
clock; with ``--busy`` those that the processors were at work for it, which others on the machine hardly change: under
``taskset -c 0`` it is the time that one idle core would take.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.step import ours, plain
from tools.step.shape import SHAPES


def timed(step: Callable[[], float], clock: Callable[[], float]) -> Callable[[], float]:
    """The seconds of one step."""

    def once() -> float:
        start = clock()
        step()
        return clock() - start

    return once


def measured(steps: dict[str, Callable[[], float]], turns: int) -> dict[str, float]:
    """Median milliseconds of each, and the median over turns of the first one's ratio to each other."""
    for step in [*steps.values()] * 2:
        step()
    seconds = {name: [] for name in steps}
    for _ in range(turns):
        for name, step in steps.items():
            seconds[name].append(step())
    first, *others = steps
    out = {f"{name}_ms": round(1e3 * statistics.median(times), 1) for name, times in seconds.items()}
    for name in others:
        ratios = [a / b for a, b in zip(seconds[first], seconds[name], strict=True)]
        out[f"to_{name}"] = round(statistics.median(ratios), 3)
    return out


def main() -> None:
    """Every shape that is named, or all."""
    parser = argparse.ArgumentParser(prog="tools.step")
    parser.add_argument("shapes", nargs="*")
    parser.add_argument("--torch", help="a Python that has torch")
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--busy", action="store_true")
    given = parser.parse_args()
    clock = time.process_time if given.busy else time.perf_counter
    peer = None
    if given.torch:
        command = [given.torch, "-m", "tools.step.peer"]
        root = Path(__file__).parents[2]
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    for name in given.shapes or SHAPES:
        steps = {side.__name__.rpartition(".")[2]: timed(side.stepper(SHAPES[name]), clock) for side in (ours, plain)}
        if peer is not None and peer.stdin is not None and peer.stdout is not None:

            def torch(name: str = name, into=peer.stdin, out=peer.stdout) -> float:
                print(name, file=into, flush=True)
                return float(out.readline().split()[2 if given.busy else 1])

            steps["torch"] = torch
        print(json.dumps({"shape": name, **measured(steps, given.turns)}), flush=True)
    if peer is not None:
        peer.kill()


if __name__ == "__main__":
    sys.exit(main())
