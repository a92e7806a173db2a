"""Batches made in other processes, in order."""

import collections
import contextlib
import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from mmjax.core import Batch, UserError
from mmjax.data.parcel import Parcel, wrapped

_make: Any = None  # what this process makes batches with, once it is one of the pool
_paths: collections.deque[str] = collections.deque(maxlen=64)  # of what this process made last


class Maker(Protocol):
    """What makes batch k, and can go to another process. News: what it learned on the way that others should hear."""

    def __call__(self, k: int) -> Batch: ...

    def news(self) -> Any: ...

    def hear(self, news: Any) -> None: ...


class Batches(Iterator[Batch]):
    """``make(0)``, ``make(1)``, ... for ever, made by so many processes, two ahead in each.

    ``make`` goes to each process once. Each imports the main program anew, so a script has to keep its own work under
    ``if __name__ == "__main__":``. Raises UserError where a process dies, and whatever ``make`` raises.
    """

    def __init__(self, make: Maker, *, workers: int):
        self._next, self._ahead, self._make = 0, 2 * workers, make
        self._pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (make,))
        self._pending: collections.deque[Future] = collections.deque()

    def __next__(self) -> Batch:
        self._fill()
        try:
            parcel, news = self._pending.popleft().result()
        except BrokenProcessPool:
            for process in list((self._pool._processes or {}).values()):  # which do not hear a gentler word
                process.kill()
            raise UserError(
                "the processes that read the data ended: there was not enough memory, or the script that was run does "
                'not keep its work under `if __name__ == "__main__":`; mend that or set run.workers to 0'
            ) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(
                "run.workers: there is no room in /dev/shm for the batches; make it larger or set run.workers to 0"
            ) from None
        self._fill()
        self._make.hear(news)
        return parcel.open()

    def get_state(self) -> dict[str, int]:
        """The number of the next batch, as grain would tell it."""
        return {"next_index": self._next - len(self._pending)}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._forget()
        self._next = state["next_index"]

    def close(self) -> None:
        """End all processes, and give back what they made."""
        self._forget()
        self._pool.shutdown()

    def _fill(self) -> None:
        while len(self._pending) < self._ahead:
            try:
                self._pending.append(self._pool.submit(_made, self._next))
            except BrokenProcessPool:
                self._pending.append(_broken())
            except Exception as error:  # of what cannot be sent; PicklingError has a name alone, for no pickle comes in
                if not isinstance(error, AttributeError | TypeError) and type(error).__name__ != "PicklingError":
                    raise
                reason = " ".join(str(error).split())[:120]
                raise UserError(
                    f"run.workers: these data cannot go to other processes ({reason}); set it to 0"
                ) from None
            self._next += 1

    def _forget(self) -> None:
        for future in self._pending:
            future.cancel()
        for future in self._pending:
            if not future.cancelled() and future.exception() is None:
                future.result()[0].drop()
        self._pending.clear()


def _broken() -> Future:
    future: Future = Future()
    future.set_exception(BrokenProcessPool())
    return future


def _begin(make: Maker) -> None:
    """What a process does first: keep what it makes batches with, leave signals to its parent and end with it."""
    global _make
    _make = make
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # schedulers send it to all, and the parent saves before it leaves
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent.sentinel,), daemon=True).start()


def _outlive(parent: int) -> None:
    multiprocessing.connection.wait([parent])
    for path in list(_paths):
        with contextlib.suppress(OSError):  # of most, which the parent had opened
            os.unlink(path)
    os._exit(1)


def _made(k: int) -> tuple[Parcel, Any]:
    parcel = wrapped(_make(k))
    _paths.append(parcel.path)
    return parcel, _make.news()
