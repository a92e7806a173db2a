"""``python -m tools.bench.full [--sizes NAME ...] [TOPOLOGY ...]``: models at their real size, compiled for TPUs.

A table in Markdown of what ``tools.bench.accelerator`` runs where there is a device: here it is only compiled
(``libtpu``), for chips that share every array (fsdp). The need is parameters, gradients, optimizer, and what the
backward pass reads by the jaxpr. The compiler counts a loop's body once; so its operations are those of one and of two
layers that stand alone, whole arrays and whole words' logits on every chip, carried on to the depth that there is. The
least that is sent: what is split, gathered as bfloat16 for the forward and the backward pass (once where no layer reads
it), and gradients scattered as bfloat16, in which layers compute them, those of words' kernels as float32, in which
their pieces are summed; those of what is not split, summed.
Causal attention counts whole on both sides: the plain way computes what it masks.
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
from mmjax.train import Experiment, prepare, sharding
from tools import aot
from tools.bench import accelerator
from tools.bench.size import SIZES, TINY, Size

TOPOLOGIES = ("v5p:2x2x2", "v6e:2x4")
HEAD = (
    *("topology", "model", "attention", "peak GiB", "need GiB", "of need"),
    *("sent GB", "least GB", "of least", "PFLOP a chip", "of count", "s"),
)


def case(size: Size, mesh: Mesh, chips: int) -> Experiment:
    """A batch of ``size.batch`` on every chip."""
    return dataclasses.replace(accelerator.built(dataclasses.replace(size, batch=size.batch * chips)), mesh=mesh)


def alone(made: Experiment, depth: int) -> Experiment:
    """The same with so many layers, none of them in a loop or computed twice, and words' logits in one piece."""
    model: Any = _with(made.model, {"depth": depth, "scan": False, "remat": "keep"})
    losses = {
        name: dataclasses.replace(loss, pieces=1) if hasattr(loss, "pieces") else loss
        for name, loss in made.objectives.items()
    }
    return dataclasses.replace(made, model=model, objectives=losses, mesh=Mesh())


def _with(part: Any, fields: dict[str, Any]) -> Any:
    """A module whose own parts have these fields wherever there are such."""
    if isinstance(part, dict) or hasattr(part, "items"):
        return {name: _with(inner, fields) for name, inner in part.items()}
    if not dataclasses.is_dataclass(part):
        return part
    own = {f.name for f in dataclasses.fields(part) if f.init and f.name not in ("parent", "name")}
    inner = {name: getattr(part, name) for name in own - fields.keys()}
    inner = {n: _with(v, fields) for n, v in inner.items() if dataclasses.is_dataclass(v) or hasattr(v, "items")}
    return dataclasses.replace(part, **inner, **{n: v for n, v in fields.items() if n in own})  # pyright: ignore


def operations(made: Experiment, topology: str, depth: int) -> tuple[int, int]:
    """A chip's operations by the compiler and by the jaxpr, of ``depth`` layers."""
    one, two = (aot.measure(alone(made, layers), topology)["flops"] for layers in (1, 2))
    return tuple(one[kind] + (depth - 1) * (two[kind] - one[kind]) for kind in ("compiled", "whole"))


def least(prepared: prepare.Prepared) -> float:
    """The bytes that each chip has to send in a step."""
    places, sent = trees.flatten(prepared.shardings.params), 0
    for path, leaf in trees.flatten(prepared.shapes.params).items():
        split = math.prod(places[path].shard_shape(leaf.shape)) < leaf.size
        sent += 2 * leaf.size * (2 + bool(sharding.SCANNED.search(path)) + (path == "head/kernel") if split else 2)
    return sent * (prepared.mesh.size - 1) / prepared.mesh.size


def row(name: str, size: Size, topology: str, attention: str, *, counted: bool, options: Sequence[str] = ()) -> str:
    """A line of the table, with its operations where they are to be ``counted``."""
    chips = len(aot.devices(topology))
    made = case(size, Mesh(data=1, fsdp=chips, attention=attention), chips)
    found = aot.measure(made, topology, options)
    sent = sum(part["bytes"] for part in found["collectives"].values())
    minimum = least(prepare.prepare(made, devices=aot.devices(topology)))
    compiled, wanted = operations(made, topology, size.depth) if counted else (0, 1)
    cells = [
        topology,
        name,
        attention,
        f"{found['memory']['peak'] / 2**30:,.2f}",
        f"{aot.need(found) / 2**30:,.2f}",
        f"{found['memory']['peak'] / aot.need(found):.2f}",
        ", ".join(f"{kind} {part['bytes'] / 1e9:.2f}" for kind, part in found["collectives"].items()),
        f"{minimum / 1e9:.2f}",
        f"{sent / minimum:.3f}" if minimum else "",
        f"{compiled / 1e15:.3f}" if counted else "",
        f"{compiled / wanted:.3f}" if counted else "",
        f"{found['compile_seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table, or the rows that are named. MMJAX_TINY=1 takes tiny models, to see that everything runs."""
    sizes = TINY if os.environ.get("MMJAX_TINY") else SIZES
    parser = argparse.ArgumentParser(prog="tools.bench.full", description=__doc__, allow_abbrev=False)
    parser.add_argument("topologies", nargs="*", default=TOPOLOGIES, metavar="TOPOLOGY")
    parser.add_argument("--sizes", nargs="+", default=list(sizes), choices=list(sizes))
    parser.add_argument("--attention", default="plain", help="as --mesh.attention: plain or splash")
    parser.add_argument("--memory", action="store_true", help="leave out operations, which take two compilations more")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the compiler")
    given = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    for topology in given.topologies:
        for name in given.sizes:
            how: Any = {"counted": not given.memory, "options": given.option}
            print(row(name, sizes[name], topology, given.attention, **how), flush=True)
            jax.clear_caches()


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
