"""What the host does for a step of 450 arrays, while the devices have nothing to do."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.train import Mesh, Optim, flat, sharding
from mmjax.train.ledger import Ledger
from mmjax.train.state import TrainState
from tools.bench.figure import Figure

LEAVES, TURNS = 450, 400


def figures() -> Iterator[Figure]:
    """Dispatching a step, and what the loop adds to it."""
    each = {"each_by_itself": round(1e6 * dispatch(LEAVES, laid=False), 1)}
    yield Figure("dispatch_450_leaves", 1e6 * dispatch(LEAVES), "us/step", 100, each)
    yield Figure("ledger", 1e6 * _ledger(), "us/step", 100)


def dispatch(leaves: int, *, laid: bool = True) -> float:
    """Seconds until a donated step is under way, of so many small arrays: parameters and AdamW's two moments.

    laid: end to end, as a run holds them (``run.flat``).
    """
    optim, mesh = Optim(), Mesh(data=1).build(jax.devices()[:1])
    params = {f"layer_{i}": {"bias": jnp.ones(8)} for i in range(leaves // 3)}
    state = TrainState(jnp.zeros((), jnp.int32), params, {}, optim.build(1).init(params), jax.random.key(0))
    places = jax.tree.map(lambda _: sharding.replicated(mesh), state)
    layout = flat.layout(params, places.params, optim) if laid else flat.Layout(params, [""] * len(params))

    def add(state: TrainState, batch: Any) -> tuple[TrainState, Any]:
        own = jax.tree.map(lambda leaf: leaf + 1, (state.params, state.opt_state))
        return state.replace(params=own[0], opt_state=own[1]), {}

    held = flat.Held(layout, add, jax.eval_shape(lambda: state), places, mesh)
    now = held.laid(state)
    seconds = []
    for _ in range(TURNS):
        jax.block_until_ready(now)
        begun = time.perf_counter()
        now, _ = held.step(now, {})
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
