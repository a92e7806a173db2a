"""Batches from threads: in order, as far ahead as was asked for, errors in their turn, and an end."""

import gc
import threading
import time

import pytest

from mmjax.data.ahead import Ahead


def alive():
    return sum(thread.name == "mmjax-batches" for thread in threading.enumerate())


def settled(condition):
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)
    return condition()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_come_in_order_whichever_thread_is_quicker(threads):
    def make(k):
        time.sleep(0.002 * (k % 3))
        return k

    batches = Ahead(make, threads=threads, ahead=4)
    assert [next(batches) for _ in range(20)] == list(range(20))
    assert batches.get_state() == {"next_index": 20}
    batches.set_state({"next_index": 5})
    assert [next(batches) for _ in range(7)] == list(range(5, 12))
    batches.close()
    assert next(batches) == 12
    batches.close()


def test_no_more_are_made_than_so_many_ahead():
    made = []
    batches = Ahead(lambda k: made.append(k) or k, threads=2, ahead=4)
    assert next(batches) == 0
    assert settled(lambda: len(made) == 5)
    time.sleep(0.02)
    assert sorted(made) == [0, 1, 2, 3, 4]
    batches.close()


def test_with_nothing_ahead_there_are_no_threads():
    before, made = alive(), []
    batches = Ahead(lambda k: made.append(k) or k, threads=2, ahead=0)
    assert (next(batches), next(batches), made, alive()) == (0, 1, [0, 1], before)
    batches.set_state({"next_index": 7})
    assert next(batches) == 7


def test_an_error_comes_in_its_turn_and_the_next_batch_after_it():
    def make(k):
        if k == 2:
            raise ValueError("the third is bad")
        return k

    batches = Ahead(make, threads=2, ahead=2)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(ValueError, match="the third is bad"):
        next(batches)
    assert next(batches) == 3
    batches.close()


def test_whatever_ends_a_thread_reaches_whoever_waits_for_it():
    def make(k):
        raise SystemExit(3)

    batches = Ahead(make, threads=2, ahead=4)
    with pytest.raises(SystemExit):
        next(batches)
    batches.close()


def test_threads_end_with_what_they_are_for():
    before = alive()
    kept, closed = Ahead(lambda k: k, threads=2, ahead=2), Ahead(lambda k: k, threads=1, ahead=2)
    next(kept), next(closed)
    assert alive() == before + 3
    closed.close()
    assert alive() == before + 2
    del kept
    gc.collect()
    assert settled(lambda: alive() == before)
