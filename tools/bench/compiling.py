"""How long 24 layers take to compile: cold, and once more in a new process that finds them in the cache."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tools.bench.figure import Figure

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
print(json.dumps({"trace": traced - begun, "compile": time.perf_counter() - traced}))
"""


def figures() -> Iterator[Figure]:
    """A whole training step with AdamW, layers scanned and one by one."""
    for way in ("scan", "unrolled"):
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = _seconds(folder, way), _seconds(folder, way)
        traced = {"trace_seconds": round(cold["trace"], 2)}
        yield Figure(f"compile_24_layers_{way}_cold", cold["compile"], "s", 3, traced)
        yield Figure(f"compile_24_layers_{way}_warm", warm["compile"], "s", 0.5, traced)


def _seconds(folder: str, way: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", CODE, folder, way], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
