"""Where the parameters and activations of every recipe live on 8 and on 64 devices.

``python tools/sharding.py [RECIPE.py ...]`` writes tests/goldens/sharding/RECIPE.txt, which the tests hold the code
against, so that a change of a rule, of a name or of a layer shows what it moves. No device is needed. Recipes whose
recordings are not here are passed over.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from mmjax.cli import recipe
from mmjax.core import UserError, trees
from mmjax.train import Experiment, Mesh, activation, audit, sharding, state, viewed
from mmjax.train.prepare import fitted

HOUSE = Path(__file__).resolve().parents[1]
GOLDENS = HOUSE / "tests" / "goldens" / "sharding"
MESHES = {8: Mesh(data=2, fsdp=2, tensor=2), 64: Mesh(data=2, fsdp=4, context=2, expert=2, tensor=2)}


def text(experiment: Experiment, schema: Any) -> str:
    """All shardings of a recipe, a paragraph a mesh."""
    return "\n".join(line for devices, mesh in MESHES.items() for line in _lines(experiment, schema, devices, mesh))


def _lines(experiment: Experiment, schema: Any, devices: int, settings: Mesh) -> Iterator[str]:
    mesh = settings.abstract(devices)
    example = viewed.seen(experiment.views, experiment.model, schema.example(experiment.data.batch))
    optimizer = experiment.optim.build(experiment.run.steps)
    shapes = jax.eval_shape(state.make_init(experiment.model, optimizer, example, experiment.lora), jax.random.key(0))
    places = sharding.state_shardings(shapes, optimizer, mesh, settings)
    model = activation.Placed(experiment.model, mesh, settings)
    jax.eval_shape(
        lambda s, i: model.apply({"params": s.params, **s.variables}, i, train=False), shapes, example.inputs
    )
    yield f"{devices} devices: " + " x ".join(f"{axis} {size}" for axis, size in mesh.shape.items() if size > 1)
    yield from (f"note: {note}" for note in audit.notes(shapes, places, mesh, model))
    specs = trees.flatten(places.params)
    params = trees.flatten(shapes.params).items()
    yield from _folded(f"{path} {leaf.shape} {_spec(specs[path])}" for path, leaf in params)
    given = [(path, shape, place) for path, all_of_it in model.placed.items() for shape, place in all_of_it]
    yield from _folded(f"{path}() {shape} {_spec(place)}" for path, shape, place in given)
    yield ""


def _folded(lines: Iterator[str]) -> list[str]:
    """Blocks that are alike are told once."""
    return list(dict.fromkeys(re.sub(r"block_\d+", "block_*", line) for line in lines))


def _spec(place: Any) -> str:
    names = ["+".join(axis for axis in axes if place.mesh.shape[axis] > 1) or "-" for axes in audit.axes(place.spec)]
    return "(" + ", ".join(names) + ")" if set(names) - {"-"} else "whole"


def main(paths: list[str]) -> None:
    """Write the files of these recipes, or of all."""
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for path in map(Path, paths or sorted((HOUSE / "experiments").glob("*.py"))):
        experiment = recipe.load(str(path)).experiment
        try:
            schema = fitted(experiment)
        except UserError as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            continue
        (GOLDENS / f"{path.stem}.txt").write_text(text(experiment, schema), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
