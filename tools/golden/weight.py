"""Random weights that a golden file need not hold, and their way into parameters of mmjax. Numpy alone.

The other implementation and ours are given the same weights, drawn from their names, so that a golden file keeps
names and shapes, inputs and outputs. A family's test renames the weights by rules.
"""

import importlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).parents[2] / "tests" / "goldens"


def drawn(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """A float32 array for each name: kernels that keep variance, scales and variances about 1, biases about 0.

    The first axis is taken for the outputs, as torch has it. What a name gets depends on its shape and itself alone.
    """
    return {name: _array(name, tuple(shape)) for name, shape in shapes.items()}


def _array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.2 * rng.normal(size=shape) + name.endswith(("weight", "scale", "gamma"))
    return np.asarray(values, np.float32)


def fill(module: Any) -> dict[str, tuple[int, ...]]:
    """Give a torch module weights of this kind, switch it to evaluation, and return their shapes by name."""
    torch = importlib.import_module("torch")
    state = module.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if value.is_floating_point()}
    new = {name: torch.from_numpy(value) for name, value in drawn(shapes).items()}
    module.load_state_dict({**state, **new})
    module.eval()
    return shapes


def write(name: str, *, source: str, shapes: Mapping[str, Sequence[int]], **arrays: np.ndarray) -> None:
    """tests/goldens/NAME.npz: names and shapes of the weights, and ``arrays``."""
    listed = json.dumps({key: list(shape) for key, shape in shapes.items()})
    GOLDENS.mkdir(exist_ok=True)
    path = GOLDENS / f"{name}.npz"
    np.savez_compressed(path, allow_pickle=False, source=np.array(source), shapes=np.array(listed), **arrays)


def read(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays of a golden file, and its weights."""
    with np.load(GOLDENS / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, drawn(json.loads(str(arrays.pop("shapes"))))


def renamed(
    weights: Mapping[str, np.ndarray], rules: Sequence[tuple[str, str]], shapes: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """torch's weights as a tree of ours.

    rules: (regular expression, replacement), all tried in their order on each name with its dots turned to ``/``;
    a name that becomes empty is left out. shapes: of our leaves by path. Where our path ends in ``kernel``, the
    outputs go from the first axis to the last and the inputs to the one before it. Then shapes need only agree in size
    (heads are an axis of their own here). Raises ValueError unless every leaf gets exactly one weight.
    """
    tree: dict[str, Any] = {}
    missing = dict(shapes)
    for name, value in weights.items():
        path = name.replace(".", "/")
        for pattern, replacement in rules:
            path = re.sub(pattern, replacement, path)
        if not path:
            continue
        if path not in missing:
            raise ValueError(f"{name} became {path}, which is not among {sorted(missing)}")
        if path.endswith("kernel"):
            value = np.moveaxis(value, (1, 0), (-2, -1))
        *parents, leaf = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value.reshape(missing.pop(path))
    if missing:
        raise ValueError(f"no weight became {sorted(missing)}")
    return tree


def error(found: Any, expected: Any) -> float:
    """The greatest difference, relative to the greatest of what is expected."""
    expected = np.asarray(expected, np.float64)
    return float(np.abs(np.asarray(found, np.float64) - expected).max() / np.abs(expected).max())
