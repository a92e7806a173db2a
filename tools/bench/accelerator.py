"""Models at their real size on this GPU or TPU: step time, utilisation, and torch beside them in the same call.

torch runs in processes of its own (MMJAX_TORCH names their Python, this one by default), so that each side has
the whole memory. MMJAX_TINY=1 takes tiny models, to see that everything runs.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import jax

from mmjax import Experiment, flops
from mmjax.train import place, prepare
from mmjax.train.peak import peak
from tools.bench import workload
from tools.bench.figure import Figure
from tools.bench.size import SIZES, TINY, Size

TURNS = 12


def figures() -> Iterator[Figure]:
    """For each model its step, its share of the chip's peak (model FLOPs, causal halved), and torch's step."""
    sizes = TINY if os.environ.get("MMJAX_TINY") else SIZES
    for name, size in sizes.items():
        facts = _step(built(size))
        facts["torch"] = torch = _torch(name)
        compared = [seconds for seconds in (torch.get("eager"), torch.get("compiled")) if seconds]
        facts["to_torch"] = round(facts["seconds"] / min(compared), 3) if compared else None
        yield Figure(f"{name}_step", 1e3 * facts.pop("seconds"), "ms", 0, facts)


def built(size: Size) -> Experiment:
    """The experiment of a size."""
    trunk = {"width": size.width, "depth": size.depth, "heads": size.heads, "dtype": "bfloat16", "scan": True}
    if size.kind == "language":
        return workload.language(size.batch, size.length, size.words, remat="products", key_bias=True, **trunk)
    if size.kind == "pair":
        return workload.pair(size.batch, size.picture, size.length, size.words, size.patch, key_bias=True, **trunk)
    return workload.frames(size.batch, size.frames, remat="products", key_bias=True, **trunk)


def _step(experiment: Experiment) -> dict[str, Any]:
    ready = prepare.prepare(experiment)
    with jax.set_mesh(ready.mesh):
        batch = place.put(experiment.data.example(), ready.mesh)
        state = ready.held.laid(jax.jit(ready.init, out_shardings=ready.shardings)(jax.random.key(0)))
        begun = time.perf_counter()
        traced = ready.held.step.trace(state, batch)
        step = traced.lower().compile()
        compiling = time.perf_counter() - begun
        times = []
        for turn in range(-3, TURNS):
            begun = time.perf_counter()
            state, metrics = step(state, batch)
            jax.block_until_ready(metrics)
            if turn >= 0:
                times.append(time.perf_counter() - begun)
    seconds, work = median(times), flops.of_jaxpr(traced.jaxpr)
    top = peak(jax.local_devices()[0].device_kind)
    memory = step.memory_analysis()
    return {
        "seconds": seconds,
        "tflops_per_second": round(work / seconds / 1e12, 2),
        "mfu": top and round(work / seconds / top / ready.mesh.size, 4),
        "peak_gib": round((memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 2**30, 2),
        "compile_seconds": round(compiling, 1),
    }


def _torch(name: str) -> dict[str, Any]:
    """What the peer says; why not, where there is none."""
    python = os.environ.get("MMJAX_TORCH", sys.executable)
    tiny = ["--tiny"] if os.environ.get("MMJAX_TINY") else []
    done = subprocess.run([python, "-m", "tools.bench.peer", name, *tiny], capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no torch"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])
