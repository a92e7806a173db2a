"""``python -m tools.bench.pod``: a causal trunk compiled for TPUs on several meshes, as a table in Markdown.

Beside what each device sends stands the least that the way of splitting needs, in the types that are sent: products
take their operands as bfloat16 (2 bytes), gradients are summed in float32 (4 bytes).
"""

import dataclasses
import os
import sys

from mmjax import Mesh
from mmjax.train import Experiment
from tools import aot
from tools.bench import workload

WIDTH, DEPTH, LENGTH, WORDS, EACH = 1024, 2, 512, 8192, 8  # EACH: rows on a device where rows are split
TOPOLOGIES = ("v5e:2x4", "v5p:2x2x2", "v6e:2x4", "v5p:4x4x4")


def case(mesh: Mesh, rows: int) -> Experiment:
    """A trunk of about 42M parameters, layer by layer: of a scan's body the compiler counts one turn alone."""
    made = workload.language(rows, LENGTH, WORDS, width=WIDTH, depth=DEPTH, heads=8, dtype="bfloat16")
    return dataclasses.replace(made, mesh=mesh)


def ways(devices: int) -> dict[str, tuple[Mesh, int]]:
    """The meshes of so many devices, and the rows of their batches."""
    return {
        "data": (Mesh(), devices * EACH),
        "fsdp": (Mesh(data=1, fsdp=devices), devices * EACH),
        "tensor": (Mesh(data=devices // 8, tensor=8), devices // 8 * EACH),
    }


def least(way: str, devices: int, parameters: int, rows: int) -> float:
    """The bytes that each device has to send in a step. parameters: bytes of float32 on a device that splits none."""
    if way == "data":
        return 2 * (devices - 1) / devices * parameters
    if way == "fsdp":  # gathered for the forward and for the backward pass, gradients scattered
        return (devices - 1) / devices * (2 * parameters / 2 + parameters)
    # A sum of activations after attention and after the MLP, forward and backward; then gradients over the rest.
    sums = 4 * DEPTH * 2 * 7 / 8 * (rows // (devices // 8)) * LENGTH * WIDTH * 2
    rest = devices // 8
    return sums + 2 * (rest - 1) / rest * parameters


def row(way: str, topology: str) -> str:
    """A line of the table."""
    devices = len(aot.devices(topology))
    mesh, rows = ways(devices)[way]
    found = aot.measure(case(mesh, rows), topology)
    memory, sent = found["memory"], {kind: part["bytes"] for kind, part in found["collectives"].items()}
    needed = memory["parameters"] * 2 + memory["optimizer"] + memory["kept"]
    whole = sum(part["overlapped"] for part in found["collectives"].values())
    minimum = least(way, devices, memory["parameters"] * (devices if way == "fsdp" else 1), rows)
    cells = [
        topology,
        f"{way} {devices if way != 'tensor' else '8 x data ' + str(devices // 8)}",
        f"{memory['peak'] / 2**20:,.0f}",
        f"{memory['peak'] / needed:.2f}",
        f"{found['flops']['compiled'] / 1e12:.2f}",
        f"{found['flops']['compiled'] / found['flops']['counted']:.2f}",
        ", ".join(f"{kind} {n / 2**20:,.1f}" for kind, n in sent.items()),
        f"{sum(sent.values()) / minimum:.3f}",
        f"{whole / max(sum(sent.values()), 1):.0%}",
        f"{found['compile_seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main(words: list[str]) -> int:
    """Print the table, or the rows of the topologies that are named."""
    heads = ("topology", "mesh", "peak MiB", "of need", "TFLOP", "of count", "sent MiB", "of least", "overlapped", "s")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads), flush=True)
    for topology in words or TOPOLOGIES:
        for way in ways(8):
            print(row(way, topology), flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main(sys.argv[1:]))
