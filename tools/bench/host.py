"""What the host does for a step of 450 arrays, while the devices have nothing to do."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.train import Mesh, flat, sharding
from mmjax.train.ledger import Ledger
from mmjax.train.state import TrainState
from tools.bench.figure import Figure

LEAVES, TURNS = 450, 400


def figures() -> Iterator[Figure]:
    """Dispatching a step, and what the loop adds to it."""
    once = dispatch(LEAVES)
    yield Figure("dispatch_450_leaves", 1e6 * once, "us/step", 100, {"each_leaf": round(1e6 * once / LEAVES, 2)})
    yield Figure("dispatch_450_leaves_flat", 1e6 * dispatch(LEAVES, laid=True), "us/step", 100)
    yield Figure("ledger", 1e6 * _ledger(), "us/step", 100)


def dispatch(leaves: int, *, laid: bool = False) -> float:
    """Seconds until a donated step of so many small arrays is under way. laid: end to end, as ``run.flat`` does it."""
    params = [jnp.ones(8) for _ in range(leaves)]
    state: Any = TrainState(jnp.zeros((), jnp.int32), params, {}, (), jax.random.key(0))
    mesh = Mesh(data=1).build(jax.devices()[:1])
    places = jax.tree.map(lambda _: sharding.replicated(mesh), state)

    def add(state: TrainState, batch: Any) -> tuple[TrainState, Any]:
        return state.replace(params=jax.tree.map(lambda leaf: leaf + 1, state.params)), {}

    step: Any = jax.jit(add, donate_argnums=0)
    if laid:
        held = flat.Flat(add, jax.eval_shape(lambda: state), places, mesh)
        state, step = held.laid(state), held.step
    seconds = []
    for _ in range(TURNS):
        jax.block_until_ready(state)
        begun = time.perf_counter()
        state, _ = step(state, {})
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
