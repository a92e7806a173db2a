"""``python -m tools.bench.traffic [DEVICES]``: what a step sends on every kind of mesh, beside the least, in Markdown.

The devices are a processor's, made up, so nothing else is needed; the step is compiled, not run. On processors XLA of
jax 0.10 gathers once what layers are to gather for each of both passes, that of jax 0.12 twice, and both sum what comes
back through queries, keys and values apart; the least is counted so.
"""

import dataclasses
import math
import os
import sys
from dataclasses import dataclass

import jax

from mmjax import Mesh
from mmjax.core import trees
from mmjax.train import prepare
from tools import hlo
from tools.bench import workload

_TWICE = jax.__version_info__ >= (0, 11)
WORDS, WIDTH, DEPTH, EACH = 1024, 64, 2, 2  # EACH: rows on a device where rows are split


@dataclass(frozen=True)
class Way:
    """A mesh, the rows and words of a batch, and the heads of attention, which some meshes share out."""

    mesh: Mesh
    rows: int
    length: int = 64
    heads: int = 8

    @property
    def stream(self) -> int:
        """Bytes of all tokens of a batch, in float32."""
        return 4 * self.rows * self.length * WIDTH


def ways(devices: int) -> dict[str, Way]:
    """The meshes of so many devices."""
    rows = EACH * devices
    return {
        "data": Way(Mesh(), rows),
        "fsdp": Way(Mesh(data=1, fsdp=devices, fsdp_size=64), rows),
        "tensor": Way(Mesh(data=devices // 4, tensor=4), rows),
        "ring": Way(Mesh(data=1, context=devices), 2 * EACH, length=16 * devices),
        "heads": Way(Mesh(data=1, context=devices, exchange="heads"), 2 * EACH, length=16 * devices, heads=devices),
    }


def prepared(way: Way) -> prepare.Prepared:
    """A causal trunk on that mesh."""
    made = workload.language(way.rows, way.length, WORDS, width=WIDTH, depth=DEPTH, heads=way.heads)
    return prepare.prepare(dataclasses.replace(made, mesh=way.mesh))


def sent(ready: prepare.Prepared) -> dict[str, int]:
    """Bytes that each device sends in a step, by collective."""
    with jax.set_mesh(ready.mesh):
        example = ready.schema.example(ready.experiment.data.batch)
        step = ready.held.step.lower(ready.held.shapes, example).compile()
    return {kind: part["bytes"] for kind, part in hlo.traffic(step.as_text(), ready.mesh.size).items()}


def least(way: Way, ready: prepare.Prepared) -> float:
    """Bytes that each device has to send in a step."""
    shapes, places = trees.flatten(ready.shapes.params), trees.flatten(ready.shardings.params)
    whole = {path: 4 * leaf.size for path, leaf in shapes.items()}
    own = {path: 4 * math.prod(places[path].shard_shape(leaf.shape)) for path, leaf in shapes.items()}
    devices = ready.mesh.size
    gradients = 2 * _lacks(devices) * sum(whole.values())
    if way.mesh.tensor > 1:  # a layer's sums: two forward, four back; one more at the words
        stream = way.stream / way.mesh.data
        return (6 * DEPTH + 1) * 2 * _lacks(4) * stream + 2 * _lacks(way.mesh.data) * sum(own.values())
    if way.mesh.context == 1:  # with fsdp, too: what is shared is gathered, and its gradient scattered
        again = [path for path in whole if own[path] < whole[path] and "block_" in path] if _TWICE else []
        return gradients + _lacks(devices) * sum(whole[path] for path in again)
    if way.mesh.exchange == "heads":  # queries, keys, values and what is mixed, forth and back
        return gradients + DEPTH * 8 * _lacks(devices) * way.stream / devices
    return gradients + DEPTH * 6 * _lacks(devices) * way.stream  # keys and values forth, and back with their gradients


def _lacks(devices: int) -> float:
    """The part of what is shared among so many devices that one of them lacks."""
    return (devices - 1) / devices


def main(devices: int) -> None:
    """Print the table."""
    print("| mesh | each device sends, MB | least, MB | of it |\n|---|---|---|---|")
    for name, way in ways(devices).items():
        ready = prepared(way)
        found, wanted = sent(ready), least(way, ready)
        axes = " x ".join(f"{axis} {size}" for axis, size in ready.mesh.shape.items() if size > 1)
        axes += f", {name}" * (way.mesh.context > 1)
        told = ", ".join(f"{kind} {size / 1e6:.2f}" for kind, size in found.items())
        print(f"| {axes} | {told} | {wanted / 1e6:.2f} | {sum(found.values()) / wanted:.3f} |", flush=True)


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    jax.config.update("jax_num_cpu_devices", many)
    main(many)
