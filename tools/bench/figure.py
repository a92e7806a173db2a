"""A figure: what was measured, against what it is held, and on what kind of machine."""

import datetime
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Figure:
    """One measured number. limit: what it should not be above (0: none was set); facts: whatever explains it."""

    name: str
    value: float
    unit: str
    limit: float = 0.0
    facts: Mapping[str, Any] | None = None

    def line(self) -> str:
        """The figure as one line of JSON."""
        held = {"limit": self.limit, "held": self.value <= self.limit} if self.limit else {}
        about = {"date": datetime.date.today().isoformat(), "machine": machine(), "jax": jax.__version__}
        value = float(f"{self.value:.4g}")
        return json.dumps(
            {"figure": self.name, "value": value, "unit": self.unit} | held | dict(self.facts or {}) | about
        )


def machine() -> str:
    """The kind of machine, which is all that a reader of a figure needs."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return f"CPU, {len(os.sched_getaffinity(0))} cores, {platform.machine()}"
    return f"{jax.local_device_count()} x {device.device_kind}"


def alternated(ways: Mapping[str, Callable[[], Any]], *, turns: int) -> dict[str, float]:
    """The median seconds of each way, which take turns, so that a busy machine is busy for all of them.

    What a way returns is waited for. Each is run twice before it counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.disable()
    try:
        for turn in range(-2, turns):
            for name, way in ways.items():
                begun = time.perf_counter()
                jax.block_until_ready(way())
                if turn >= 0:
                    seconds[name].append(time.perf_counter() - begun)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in seconds.items()}
