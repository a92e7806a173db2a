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
step = jax.jit(ready.function, donate_argnums=0) if sys.argv[3] == "plain" else ready.held.step
begun = time.perf_counter()
lowered = step.trace(ready.shapes if sys.argv[3] == "plain" else ready.held.shapes, example).lower()
traced = time.perf_counter()
lowered.compile()
print(json.dumps({"trace": traced - begun, "compile": time.perf_counter() - traced}))
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

    Beside each, how long plain ``jax.jit`` takes: for the step, with each parameter by itself.
    """
    for way in ("scan", "unrolled"):
        with tempfile.TemporaryDirectory() as folder:
            for name, limit in (("cold", 3), ("warm", 0.5)):
                ours, plain = (_told(CODE, folder, way, own) for own in ("ours", "plain"))
                facts = {"trace_seconds": round(ours["trace"], 2), "plain_seconds": round(plain["compile"], 2)}
                yield Figure(f"compile_24_layers_{way}_{name}", ours["compile"], "s", limit, facts)
    begun = _told(BEGUN, str(DIGITS))
    yield Figure("compile_init_of_digits", begun.pop("seconds"), "s of processor", facts=begun)


def _told(code: str, *words: str) -> dict[str, Any]:
    """What a program of its own process prints last."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
