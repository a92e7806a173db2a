"""Batches made ahead in threads of this process, in order."""

import queue
import threading
import weakref
from collections.abc import Callable, Iterator

from mmjax.core import Batch

_Answer = tuple[Batch | None, BaseException | None]
_FOR_EVER = 2**62  # batches


class Ahead(Iterator[Batch]):
    """``make(0)``, ``make(1)``, ... for ever, made by so many threads, with up to ``ahead`` of them ready beforehand.

    Thread i makes every ``threads``-th from i on, and each hands over through a queue of its own. So a batch that is
    ready costs whoever takes it one look into a queue. With nothing ahead batches are made when they are asked for.
    Raises whatever ``make`` raises, in the turn of that batch. Threads begin with the first batch, and end with
    ``close`` or when nobody holds this any more.
    """

    def __init__(self, make: Callable[[int], Batch], *, threads: int, ahead: int):
        self._make, self._next = make, 0
        self._threads = threads if ahead else 0
        self._deep = max(1, -(-ahead // threads))
        self._hands: list[_Hand] = []
        self._first = 0

    def __next__(self) -> Batch:
        if not self._threads:
            self._next += 1
            return self._make(self._next - 1)
        if not self._hands:
            self._first = self._next
            self._hands = [
                _Hand(self._make, range(self._next + i, _FOR_EVER, self._threads), self._deep)
                for i in range(self._threads)
            ]
            self._end = weakref.finalize(self, _stop, self._hands)
        batch, error = self._hands[(self._next - self._first) % self._threads].take()
        self._next += 1
        if error is not None:
            raise error
        assert batch is not None
        return batch

    def get_state(self) -> dict[str, int]:
        """The number of the next batch, as grain would tell it."""
        return {"next_index": self._next}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.close()
        self._next = state["next_index"]

    def close(self) -> None:
        """Make no more, and forget what was made."""
        if self._hands:
            self._end()
            self._hands = []


class _Hand:
    """A thread that makes batches of these numbers, ``deep`` more than were taken."""

    def __init__(self, make: Callable[[int], Batch], numbers: range, deep: int):
        self._made: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._room, self._over = threading.Semaphore(deep), threading.Event()
        work = (make, numbers, self._made, self._room, self._over)
        self._thread = threading.Thread(target=_work, args=work, name="mmjax-batches", daemon=True)
        self._thread.start()

    def take(self) -> _Answer:
        answer = self._made.get()
        self._room.release()
        return answer

    def stop(self) -> None:
        """Ask for no more; ``join`` waits until the last is made."""
        self._over.set()
        self._room.release()

    def join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join()


def _work(
    make: Callable[[int], Batch],
    numbers: range,
    made: "queue.SimpleQueue[_Answer]",
    room: threading.Semaphore,
    over: threading.Event,
) -> None:
    for number in numbers:
        room.acquire()
        if over.is_set():
            return
        try:
            made.put((make(number), None))
        except BaseException as error:  # whatever it is, whoever waits for this batch raises it, or would wait for ever
            made.put((None, error))


def _stop(hands: list[_Hand]) -> None:
    for hand in hands:
        hand.stop()
    for hand in hands:
        hand.join()
