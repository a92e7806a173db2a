"""``python -m tools.bench.pod [TOPOLOGY ...]``: what a causal trunk sends between TPUs on several meshes, in Markdown.

It is compiled for the topologies (``libtpu``), not run. Beside what each device sends stands the least that the way of
splitting needs, in the types that are sent: products take their operands as bfloat16 (2 bytes), what is summed or
looked up is float32 (4 bytes). ``--ways data fsdp`` names some of the ways.
"""

import argparse
import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import jax

from mmjax import Mesh
from mmjax.core import trees
from mmjax.train import Experiment, prepare
from tools import aot
from tools.bench import workload

WIDTH, DEPTH, LENGTH, WORDS, EACH = 256, 4, 128, 1024, 8  # EACH: rows on a device where rows are split
FAR = 1024  # wide, for more than 8 chips: of less than 16 rows of an array for each libtpu scatters nothing
TOPOLOGIES = ("v5e:2x4", "v5p:2x2x2", "v6e:2x4", "v5p:4x4x4", "v6e:8x8")
PARTS = 4  # of what tensor and context split; data splits the rest
HEAD = ("topology", "mesh", "peak MB", "of need", "sent MB", "least MB", "of least", "beside other work", "s")
# What is read at one place alone, and the bytes of its numbers there.
ONCE = {"text/embed/embedding": 4, "text/position/embedding": 4, "head/kernel": 2}


def case(mesh: Mesh, rows: int, width: int, depth: int) -> Experiment:
    """A trunk in float32, of which the products of a TPU read bfloat16; of 3.7M parameters unless told otherwise."""
    made = workload.language(rows, LENGTH, WORDS, width=width, depth=depth, heads=PARTS)
    return dataclasses.replace(made, mesh=mesh)


def ways(devices: int) -> dict[str, tuple[Mesh, int]]:
    """The meshes of so many devices, and the rows of their batches."""
    rest = devices // PARTS
    return {
        "data": (Mesh(), devices * EACH),
        "fsdp": (Mesh(data=1, fsdp=devices), devices * EACH),
        "tensor": (Mesh(data=rest, tensor=PARTS), rest * EACH),
        "ring": (Mesh(data=rest, context=PARTS), rest * EACH),
        "heads": (Mesh(data=rest, context=PARTS, exchange="heads"), rest * EACH),
    }


def least(way: str, prepared: prepare.Prepared, tokens: int, depth: int) -> float:
    """The bytes that each device has to send in a step. tokens: the numbers that they are in a batch."""
    devices, rest = prepared.mesh.size, prepared.mesh.size // PARTS
    sizes = {path: leaf.size for path, leaf in trees.flatten(prepared.shapes.params).items()}
    places = trees.flatten(prepared.shardings.params)
    own = {p: math.prod(places[p].shard_shape(leaf.shape)) for p, leaf in trees.flatten(prepared.shapes.params).items()}
    summed, tokens = 4 * sum(sizes.values()), tokens // rest
    if way == "fsdp":  # layers gathered forward and backward, tables once; gradients scattered; what is small is whole
        split = {path: size for path, size in sizes.items() if own[path] < size}
        gathers = sum(ONCE.get(path, 2 * 2) * size for path, size in split.items())
        scattered = 4 * sum(split.values())
        return _share(devices) * (gathers + scattered + 2 * (summed - scattered))
    if way == "tensor":  # after attention and after the MLP, forward and backward, and for the words; then gradients
        return (4 * depth + 1) * 2 * _share(PARTS) * 4 * tokens + 2 * _share(rest) * 4 * sum(own.values())
    gradients = 2 * _share(devices) * summed
    if way == "ring":  # keys and values go forward and backward, their gradients in float32
        return gradients + depth * (PARTS - 1) * tokens // PARTS * (4 + 4 + 8)
    if way == "heads":  # queries, keys, values and what is mixed, there and back
        return gradients + depth * 8 * _share(PARTS) * 2 * tokens // PARTS
    return gradients


def _share(devices: int) -> float:
    """The part of what is shared among so many devices that one of them lacks."""
    return (devices - 1) / max(devices, 1)


def row(way: str, topology: str, width: int, depth: int, options: Sequence[str] = ()) -> str:
    """A line of the table."""
    chips = aot.devices(topology)
    mesh, rows = ways(len(chips))[way]
    made = case(mesh, rows, width, depth)
    found = aot.measure(made, topology, options)
    minimum = least(way, prepare.prepare(made, devices=chips), rows * LENGTH * width, depth)
    sent: dict[str, Any] = {kind: part["bytes"] for kind, part in found["collectives"].items()}
    beside = sum(part["overlapped"] for part in found["collectives"].values())
    others = {axis: size for axis, size in found["mesh"].items() if axis in ("data", "fsdp", "tensor", "context")}
    cells = [
        topology,
        " x ".join(f"{axis} {size}" for axis, size in others.items()) + f", {way}" * (way in ("ring", "heads")),
        f"{found['memory']['peak'] / 1e6:,.1f}",
        f"{found['memory']['peak'] / aot.need(found):.2f}" if way != "tensor" else "",
        ", ".join(f"{kind} {n / 1e6:,.2f}" for kind, n in sent.items()),
        f"{minimum / 1e6:,.2f}",
        f"{sum(sent.values()) / minimum:.3f}",
        f"{beside / max(sum(sent.values()), 1):.0%}",
        f"{found['compile_seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table, or the rows of the topologies that are named."""
    parser = argparse.ArgumentParser(prog="tools.bench.pod", description=__doc__, allow_abbrev=False)
    parser.add_argument("topologies", nargs="*", default=TOPOLOGIES, metavar="TOPOLOGY")
    parser.add_argument("--ways", nargs="+", default=list(ways(PARTS)), choices=list(ways(PARTS)))
    parser.add_argument("--width", type=int, default=0, help=f"{WIDTH}, or {FAR} on more than 8 chips")
    parser.add_argument("--depth", type=int, default=DEPTH)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the compiler")
    given = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    for topology in given.topologies:
        for way in given.ways:
            width = given.width or (FAR if len(aot.devices(topology)) > 8 else WIDTH)
            print(row(way, topology, width, given.depth, given.option), flush=True)
            jax.clear_caches()


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
