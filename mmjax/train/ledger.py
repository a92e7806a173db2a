"""Where a run's time goes: every second of it on one account, over all the times that it was begun.

Goodput is the share of the time that went into steps that count: neither setting up, compiling, waiting for data,
measuring or saving, nor steps that had to be done again because the run was killed before it saved them.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from mmjax.train.folder import write_json
from mmjax.train.peak import peak

GOODPUT = "goodput.json"
ACCOUNTS = ("init", "compile", "data", "step", "evaluate", "save", "lost")
_EVERY = 1.0  # seconds between two writes; a kill loses the count of at most so many, and of one step
_SAVES = 8  # how many of the last saves are remembered, to know what a kill lost


class Ledger:
    """A context that counts. ``spent(account)`` puts the time of a stretch on an account, the rest is ``init``.

    Compilations are noticed wherever they happen, and are on no other
    account. ``data`` is what the host waits, which is an upper bound: the devices may be at work meanwhile.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic):
        self._folder: Path | None = None
        self._clock = clock
        self.seconds: dict[str, float] = {account: 0.0 for account in ACCOUNTS}
        self.steps, self.starts = 0, 1
        self._saves: list[dict[str, Any]] = []
        self._operations, self._devices, self._peak = 0, 1, None
        self._account, self._since, self._written = "init", clock(), 0.0
        self._compiled: list[tuple[float, float]] = []

    def __enter__(self) -> "Ledger":
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._heard)
        self._write()

    @contextlib.contextmanager
    def spent(self, account: str) -> Iterator[None]:
        """All until the end of the context is on ``account``, but for what an inner one takes."""
        outer = self._account
        self._turn(account)
        try:
            yield
        finally:
            self._turn(outer)

    def resume(self, folder: Path | None, start: int) -> None:
        """Go on after step ``start`` and write into ``folder`` from now on (None: nothing).

        What earlier starts spent stays on their accounts, but what they spent since they saved ``start`` is lost.
        """
        self._folder = folder
        old = _read(folder)
        if old is None:
            return
        saves = [save for save in old["saves"] if save["step"] <= start]
        kept = saves[-1]["seconds"] if saves and start else {}
        spent = {account: float(old["seconds"].get(account, 0.0)) for account in ACCOUNTS}
        if start >= old["steps"]:  # nothing has to be done again
            kept = spent
        lost = sum(spent.values()) - sum(kept.values())
        for account in ACCOUNTS:
            self.seconds[account] += kept.get(account, 0.0)
        self.seconds["lost"] += lost
        self.steps, self.starts, self._saves = start, int(old["starts"]) + 1, saves if start else []

    def done(self, step: int) -> None:
        """Step ``step`` was run. Cheap enough for every step."""
        self.steps = step
        if self._clock() - self._written > _EVERY:
            self._write()

    def saved(self, step: int) -> None:
        """A save of ``step`` was begun: what was spent up to now is safe."""
        self._turn(self._account)
        self._saves = [*self._saves, {"step": step, "seconds": dict(self.seconds)}][-_SAVES:]
        self._write()

    def work(self, operations: int, devices: Sequence[Any]) -> None:
        """Tell how many operations a step cannot do without, and which devices do them."""
        self._operations, self._devices = operations, len(devices)
        self._peak = peak(devices[0].device_kind)

    def facts(self) -> dict[str, Any]:
        """``{"goodput": share, "seconds": {account: s}, "steps", "starts", "flops_per_second", "mfu"}``, JSON-ready.

        The last two are of the time on ``step`` and None where they are not known.
        """
        self._turn(self._account)
        seconds = {account: round(spent, 3) for account, spent in self.seconds.items()}
        whole = sum(seconds.values())
        share = round(seconds["step"] / whole, 4) if whole else None
        found = {"goodput": share, "seconds": seconds, "steps": self.steps, "starts": self.starts}
        speed = self._operations * self.steps / seconds["step"] if seconds["step"] else 0.0
        mfu = round(speed / (self._peak * self._devices), 4) if speed and self._peak else None
        return found | {"flops_per_second": round(speed) or None, "mfu": mfu}

    def _turn(self, account: str) -> None:
        """Close the stretch that ends now, and begin one on ``account``."""
        now = self._clock()
        compiled = min(sum(end - begun for begun, end in self._compiled), now - self._since)
        self.seconds[self._account] += now - self._since - compiled
        self.seconds["compile"] += compiled
        self._account, self._since, self._compiled = account, now, []

    def _heard(self, event: str, duration_secs: float, **_: Any) -> None:
        """jax traced, lowered or compiled something; one that was traced inside of another is in the other's time."""
        if event.startswith("/jax/core/compile/"):
            end = self._clock()
            begun = max(end - duration_secs, self._since)
            self._compiled = [stretch for stretch in self._compiled if stretch[0] < begun]
            self._compiled.append((begun, end))

    def _write(self) -> None:
        if self._folder is not None and self._folder.is_dir():
            write_json(self._folder / GOODPUT, self.facts() | {"saves": self._saves})
        self._written = self._clock()


def _read(folder: Path | None) -> Mapping[str, Any] | None:
    """What earlier starts wrote; None for nothing, or for what a person has spoilt."""
    if folder is None or not (folder / GOODPUT).is_file():
        return None
    try:
        old = json.loads((folder / GOODPUT).read_text(encoding="utf-8"))
        return old if {"seconds", "steps", "starts", "saves"} <= old.keys() else None
    except (ValueError, AttributeError):
        return None
