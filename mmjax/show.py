"""What an experiment costs before it is run: parameters, FLOPs, memory, shardings, and the data it reads."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mmjax import flops
from mmjax.core import trees
from mmjax.train import Experiment, activation, audit, lora, prepare, quantized, sharding, state, viewed
from mmjax.train.step import make_step


def facts(experiment: Experiment, schema: Any, *, devices: int = 0) -> dict[str, Any]:
    """Everything that ``table`` shows, JSON-ready.

    parameters: how many, in all and by part (a part is a first name in the parameters' paths).
    flops: per example of the data, forward and for a whole training step, with all answers of a rollout. memory: bytes
    on each device.
    shardings: shape, spec and bytes on a device for each parameter. notes: what the mesh does not do for the model,
    and what is multiplied in eight bits.
    devices: as on so many, which need not be there; 0: on those that are. Nothing is allocated or compiled.
    """
    example = prepare.blank(experiment, schema)
    optimizer = experiment.optim.build(experiment.run.steps)
    mesh = experiment.mesh.abstract(devices) if devices else experiment.mesh.build()
    seen = viewed.seen(experiment.views, experiment.model, example)
    shapes = jax.eval_shape(state.make_init(experiment.model, optimizer, seen, experiment.lora), jax.random.key(0))
    experiment.optim.check(shapes.params)
    places = sharding.state_shardings(shapes, optimizer, mesh, experiment.mesh)
    step = make_step(
        lora.over(experiment.model, experiment.lora),
        experiment.objectives,
        optimizer,
        accumulate=experiment.optim.accumulate,
        modality_dropout=experiment.modality_dropout,
        balance=experiment.balance,
        views=experiment.views,
        still=experiment.optim.frozen,
    )
    model = activation.Placed(experiment.model, mesh, experiment.mesh)
    jax.eval_shape(lambda s, i: model.apply({"params": s.params, **s.variables}, i, train=False), shapes, seen.inputs)
    taught = quantized.over(model, experiment.quantized)
    variables = {"params": shapes.params, **shapes.variables}
    rounded = quantized.notes(taught, variables, seen.inputs, None if devices else jax.devices()[0])
    forward, by_part = _forward(experiment.model, shapes, schema.example(1).inputs)
    return {
        "parameters": {"total": trees.count(shapes.params), "parts": _parameters(shapes.params)},
        "flops": {
            "forward": forward,
            "step": flops.count(step, shapes, example) // experiment.data.batch,
            "parts": by_part,
        },
        "memory": {
            "parameters": _bytes(shapes.params, places.params),
            "optimizer": _bytes(shapes.opt_state, places.opt_state),
            "batch": sum(leaf.nbytes for leaf in jax.tree.leaves(example)) // sharding.rows(mesh),
        },
        "mesh": dict(mesh.shape),
        "shardings": _shardings(shapes.params, places.params),
        "notes": audit.notes(shapes, places, mesh, model) + rounded,
        "schema": [list(row) for row in schema.describe()],
    }


def table(found: Mapping[str, Any]) -> Group:
    """``facts`` for a person."""
    return Group(_cost(found), _memory(found), _splits(found), *map(Text, found["notes"]), _data(found))


def number(value: float) -> str:
    """A large number in three digits and a letter: 1234567 is 1.23M."""
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= power:
            return f"{value / power:.3g}{letter}"
    return f"{value:.3g}"


def _forward(model: Any, shapes: state.TrainState, inputs: Any) -> tuple[int, dict[str, int]]:
    """FLOPs of one example through the network, in all and by part."""
    variables = {"params": shapes.params, **shapes.variables}
    counted = flops.by_scope(lambda v, i: model.apply(v, i, train=False), variables, inputs)
    parts: Counter[str] = Counter({name: 0 for name in shapes.params})
    for scope, operations in counted.items():
        parts[next((name for name in scope if name in parts), "other")] += operations
    return sum(counted.values()), dict(parts)


def _parameters(params: Mapping[str, Any]) -> dict[str, int]:
    return {name: trees.count(part) for name, part in params.items()}


def _bytes(shapes: Any, places: Any) -> int:
    """Bytes of a tree on one device."""
    sizes = jax.tree.map(lambda s, p: math.prod(p.shard_shape(s.shape)) * s.dtype.itemsize, shapes, places)
    return sum(jax.tree.leaves(sizes))


def _shardings(params: Any, places: Any) -> dict[str, Any]:
    where = trees.flatten(places)
    return {
        path: {
            "shape": list(leaf.shape),
            "spec": [list(axis) if isinstance(axis, tuple) else axis for axis in where[path].spec],
            "bytes": math.prod(where[path].shard_shape(leaf.shape)) * leaf.dtype.itemsize,
        }
        for path, leaf in trees.flatten(params).items()
    }


def _cost(found: Mapping[str, Any]) -> Table:
    out = Table("part", title="cost", title_justify="left", footer_style="bold", show_footer=True)
    total, forward = found["parameters"]["total"], found["flops"]["forward"]
    out.columns[0].footer = "in all"
    out.add_column("parameters", justify="right", footer=f"{total:,}")
    out.add_column("share", justify="right")
    out.add_column("FLOPs an example", justify="right", footer=number(forward))
    for name in {**found["parameters"]["parts"], **found["flops"]["parts"]}:
        many = found["parameters"]["parts"].get(name, 0)
        out.add_row(name, f"{many:,}", f"{many / max(total, 1):.0%}", number(found["flops"]["parts"].get(name, 0)))
    step = found["flops"]["step"]
    out.caption = f"a training step: {number(step)} FLOPs an example, {step / max(forward, 1):.1f} x forward"
    return out


def _memory(found: Mapping[str, Any]) -> Table:
    mesh = " x ".join(f"{name} {size}" for name, size in found["mesh"].items() if size > 1) or "one"
    out = Table("memory", title=f"on each device of {mesh}", title_justify="left", min_width=40)
    out.add_column("bytes", justify="right")
    for name, size in found["memory"].items():
        out.add_row(name, number(size))
    return out


def _splits(found: Mapping[str, Any]) -> Table | Text:
    """Parameters that no device holds whole; the spec of an axis of one device splits nothing."""
    split = {}
    for path, row in found["shardings"].items():
        axes = [_split(axis, found["mesh"]) for axis in row["spec"]]
        if set(axes) - {"-"}:
            split[path] = (row["shape"], axes)
    if not split:
        return Text("every device holds all parameters")
    out = Table("parameter", "shape", "split", title_justify="left")
    out.title = f"{len(split)} of {len(found['shardings'])} parameter arrays are split"
    for path, (shape, axes) in split.items():
        out.add_row(path, " x ".join(map(str, shape)), ", ".join(axes))
    return out


def _split(entry: str | list[str] | None, mesh: Mapping[str, int]) -> str:
    axes = entry if isinstance(entry, list) else [entry] if entry else []
    return " + ".join(axis for axis in axes if mesh[axis] > 1) or "-"


def _data(found: Mapping[str, Any]) -> Table:
    out = Table("name", "kind", "columns", "facts", title="data", title_justify="left")
    for row in found["schema"]:
        out.add_row(*(", ".join(map(str, cell)) if isinstance(cell, list | tuple) else str(cell) for cell in row))
    return out
