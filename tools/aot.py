"""Compile a step for TPUs that are not there: ``python tools/aot.py RECIPE.py --topology v5e:2x4 [--FIELD VALUE ...]``.

``libtpu`` (the extra ``tpu``) is all it takes. Overrides are those of ``mmjax train``, ``--mesh.fsdp 8`` among them.
The last line on standard output is JSON: the bytes that a device needs at the peak, beside those of its parameters, its
optimizer and what the backward pass reads; the operations it does, beside those that the jaxpr counts (``whole`` with
causal products as the plain way computes them, mask and all); products by the type of what they multiply; and the bytes
that it sends in each kind of collective.
Nothing is run, and nothing is allocated on a device.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
from jax.experimental import topologies
from jax.extend import core

from mmjax import flops
from mmjax.cli import override, recipe
from mmjax.core import Batch, UserError
from mmjax.train import Experiment, activation, prepare, quantized, sharding
from tools import hlo

# What libtpu asks of a machine that has TPUs, and jax of one that has none.
ALONE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_MIN_LOG_LEVEL": "3",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def devices(topology: str) -> list[Any]:
    """The devices of ``topology``, as v5e:2x4, v5p:2x2x2 or v6e:8x8. They can be compiled for, not used."""
    for name, value in ALONE.items():
        os.environ.setdefault(name, value)
    return list(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)


def measure(experiment: Experiment, topology: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """What a training step of ``experiment`` takes on each device of ``topology``, JSON-ready.

    options: of the compiler, each as NAME=VALUE; switches are true or false.
    """
    prepared = prepare.prepare(experiment, devices=devices(topology))
    example = prepare.blank(experiment, prepared.schema)
    switches = {"true": True, "false": False}
    chosen = {name: switches.get(value, value) for name, _, value in (option.partition("=") for option in options)}
    began = time.perf_counter()
    with jax.set_mesh(prepared.mesh), unkept(), tempfile.TemporaryDirectory() as folder:
        traced = prepared.held.step.trace(prepared.held.shapes, example)
        chosen = {"xla_dump_to": folder, "xla_dump_hlo_as_text": True} | chosen
        compiled = traced.lower().compile(compiler_options=chosen)
        seconds = time.perf_counter() - began
        text, many = written(compiled, str(chosen["xla_dump_to"])), prepared.mesh.size
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    arguments = memory.argument_size_in_bytes
    return {
        "topology": topology,
        "mesh": {axis: size for axis, size in prepared.mesh.shape.items() if size > 1},
        "memory": {
            "peak": arguments + memory.output_size_in_bytes - memory.alias_size_in_bytes + memory.temp_size_in_bytes,
            "arguments": arguments,
            "temporary": memory.temp_size_in_bytes,
            "parameters": _held(prepared.shapes.params, prepared.shardings.params),
            "optimizer": _held(prepared.shapes.opt_state, prepared.shardings.opt_state),
            "kept": _kept(experiment, prepared, example) // _parts(prepared.mesh),
        },
        "products": hlo.products(text),
        "flops": {
            "compiled": int(cost["flops"]),
            "counted": flops.of_jaxpr(traced.jaxpr) // many,
            "whole": flops.of_jaxpr(traced.jaxpr, halved=False) // many,
        },
        "collectives": hlo.traffic(text, many),
        "compile_seconds": round(seconds, 2),
    }


def need(found: dict[str, Any]) -> int:
    """Bytes that what ``measure`` found cannot do without: parameters, gradients, optimizer, what is kept."""
    memory = found["memory"]
    return 2 * memory["parameters"] + memory["optimizer"] + memory["kept"]


def written(compiled: Any, folder: str) -> str:
    """The compiled program's text; out of the compiler's own ``folder`` where it is too new for jax to read it."""
    try:
        return compiled.as_text()
    except jax.errors.JaxRuntimeError:
        return max(Path(folder).glob("*.after_codegen.txt"), key=os.path.getmtime).read_text()


@contextlib.contextmanager
def unkept() -> Iterator[None]:
    """What is compiled for devices that are not there is not written into a cache, out of which it cannot be read."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = jax.config.values[name]
    jax.config.update(name, 1e9)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _held(shapes: Any, places: Any) -> int:
    """Bytes of a tree on one device."""
    sizes = jax.tree.map(lambda s, p: math.prod(p.shard_shape(s.shape)) * s.dtype.itemsize, shapes, places)
    return sum(jax.tree.leaves(sizes))


def _parts(mesh: jax.sharding.Mesh) -> int:
    """Into how many parts the tokens of a batch go."""
    return math.prod(size for axis, size in mesh.shape.items() if axis in (*sharding.ROWS, "context"))


def _kept(experiment: Experiment, prepared: prepare.Prepared, example: Batch) -> int:
    """Bytes that the backward pass of a whole batch reads beside the parameters and the batch, by the jaxpr.

    Attention is what the mesh makes of it: the plain way keeps its scores, a kernel what it gave.
    """
    model = activation.Placed(experiment.model, prepared.mesh, experiment.mesh)
    model = quantized.over(model, experiment.quantized)

    def backward(params: Any, batch: Batch, key: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            variables = {"params": params, **prepared.shapes.variables}
            outputs = model.apply(
                variables, batch.inputs, train=True, rngs={"dropout": key}, mutable=list(prepared.shapes.variables)
            )
            return sum(o(outputs[0], batch).value() for o in experiment.objectives.values())

        return jax.tree.leaves(jax.vjp(loss, params)[1])

    key = jax.eval_shape(lambda: jax.random.key(0))  # nothing can be computed on devices that are not there
    with jax.set_mesh(prepared.mesh):
        jaxpr = jax.make_jaxpr(backward)(prepared.shapes.params, example, key).jaxpr
    given = {*jaxpr.invars, *jaxpr.constvars}
    kept = {id(v): v for v in jaxpr.outvars if isinstance(v, core.Var) and v not in given}
    arrays: list[Any] = [v.aval for v in kept.values()]
    return sum(array.size * array.dtype.itemsize for array in arrays)


def main(words: list[str]) -> int:
    """Measure what the words say. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/aot.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("recipe", metavar="RECIPE.py")
    parser.add_argument("--topology", default="v5e:2x4", help="as v5e:2x4, v5p:2x2x2, v6e:8x8")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the compiler")
    given, rest = parser.parse_known_args(words)
    try:
        loaded = recipe.load(given.recipe)
        experiment = override.apply(loaded.experiment, rest, prog=f"tools/aot.py {given.recipe}")
        print(json.dumps(measure(experiment, given.topology, given.option)))
    except UserError as error:
        print(f"aot: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main(sys.argv[1:]))
