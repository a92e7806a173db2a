"""What the host does for a step of 450 arrays, while the devices have nothing to do."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.train.ledger import Ledger
from tools.bench.figure import Figure

LEAVES, TURNS = 450, 400


def figures() -> Iterator[Figure]:
    """Dispatching a step, and what the loop adds to it."""
    once = dispatch(LEAVES)
    yield Figure("dispatch_450_leaves", 1e6 * once, "us/step", 100, {"each_leaf": round(1e6 * once / LEAVES, 2)})
    yield Figure("ledger", 1e6 * _ledger(), "us/step", 100)


def dispatch(leaves: int) -> float:
    """Seconds until a donated step of so many small arrays is under way."""
    state: Any = [jnp.ones(8) for _ in range(leaves)]
    step = jax.jit(lambda state: [leaf + 1 for leaf in state], donate_argnums=0)
    seconds = []
    for _ in range(TURNS):
        jax.block_until_ready(state)
        begun = time.perf_counter()
        state = step(state)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _ledger() -> float:
    """Seconds that the accounts of one step take."""
    seconds = []
    with Ledger() as ledger, ledger.spent("step"):
        for step in range(TURNS):
            begun = time.perf_counter()
            with ledger.spent("data"):
                pass
            ledger.done(step)
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)
