"""How long a save holds up the step: 400 arrays, 105 MB, against a copy of them in memory."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.train import checkpoint
from tools.bench.figure import Figure

LEAVES, BYTES, TURNS = 400, 105_000_000, 7


def figures() -> Iterator[Figure]:
    """The median of several saves; each is on disk before the next begins."""
    state = {f"leaf_{i}": jnp.full(BYTES // LEAVES // 4, i, jnp.float32) for i in range(LEAVES)}
    jax.block_until_ready(state)
    held, copied = [], []
    with tempfile.TemporaryDirectory() as folder, checkpoint.opened(Path(folder) / "saves") as saves:
        for turn in range(TURNS + 1):
            begun = time.perf_counter()
            copies = [np.array(leaf, copy=True) for leaf in state.values()]
            middle = time.perf_counter()
            saves.save(turn + 1, state, {"batches": turn})
            seconds = time.perf_counter() - middle
            saves.wait()
            del copies
            if turn:  # the first one sets things up
                held.append(seconds)
                copied.append(middle - begun)
    copy = statistics.median(copied)
    facts = {"save_ms": round(1e3 * statistics.median(held), 1), "copy_ms": round(1e3 * copy, 1)}
    yield Figure("async_save_105_mb", statistics.median(held) / copy, "copies", 1.5, facts)
