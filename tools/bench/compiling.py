"""How long programs take to compile: 24 layers, cold and from the cache, and what begins a run, in either way."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.bench.figure import Figure

DIGITS = Path(__file__).parents[2] / "experiments" / "digits.py"

CODE = """
import json, sys, time
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
from mmjax.train import prepare
from tools.bench import workload
made = workload.picture(8, 32, width=192, depth=24, heads=3, patch=8, scan=sys.argv[2] == "scan")
ready = prepare.prepare(made)
example = made.data.example()
begun = time.perf_counter()
lowered = ready.step.trace(ready.shapes, example).lower()
traced = time.perf_counter()
lowered.compile()
compiled = time.perf_counter()
plain = jax.jit(ready.function, donate_argnums=0).trace(ready.shapes, example).lower()
begun_plain = time.perf_counter()
plain.compile()
seconds = {"trace": traced - begun, "compile": compiled - traced, "plain": time.perf_counter() - begun_plain}
print(json.dumps(seconds))
"""

BEGUN = """
import json, sys, time
import jax, numpy as np
from mmjax.cli import recipe
from mmjax.train import compiled, prepare
jax.config.update("jax_enable_compilation_cache", False)
ready = prepare.prepare(recipe.load(sys.argv[1]).experiment)
own, key = {"out_shardings": ready.shardings}, jax.random.key(0)
seconds, states = [], []
for program in (jax.jit(ready.init, **own), compiled.jit(ready.init, ready.mesh, **own)):
    lowered, begun = program.lower(key), time.process_time()
    made = lowered.compile()
    seconds.append(time.process_time() - begun)
    states.append(jax.tree.leaves(made(key).params))
alike = all(np.array_equal(a, b) for a, b in zip(*states, strict=True))
print(json.dumps({"plain_seconds": round(seconds[0], 2), "seconds": seconds[1], "same_numbers": alike}))
"""


def figures() -> Iterator[Figure]:
    """A whole training step with AdamW, layers scanned and one by one; what begins a run, in seconds of processor.

    Beside both, how long plain ``jax.jit`` takes in the same process.
    """
    for way in ("scan", "unrolled"):
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = (_told(CODE, folder, way) for _ in range(2))
        for name, told, limit in (("cold", cold, 3), ("warm", warm, 0.5)):
            facts = {"trace_seconds": round(told["trace"], 2), "plain_seconds": round(told["plain"], 2)}
            yield Figure(f"compile_24_layers_{way}_{name}", told["compile"], "s", limit, facts)
    begun = _told(BEGUN, str(DIGITS))
    yield Figure("compile_init_of_digits", begun.pop("seconds"), "s of processor", facts=begun)


def _told(code: str, *words: str) -> dict[str, Any]:
    """What a program of its own process prints last."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
