"""Beginning with what another run learned: which tensors of it fit where."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import optax

from mmjax.core import UserError, trees
from mmjax.train import frozen
from mmjax.train.state import TrainState


@dataclass(frozen=True)
class Taken:
    """where: another run's folder. taken: its path of each tensor that begins with what it learned, by own path.

    new: tensors that begin anew, each with its shape where the other run has it in another one, else "". left: what
    that run has besides. Running statistics stand behind the name of their collection, as ``batch_stats/...``.
    """

    where: str
    taken: Mapping[str, str]
    new: Mapping[str, str]
    left: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """Tensor by tensor, for people."""
        lines = [f"init_from {self.where}: {len(self.taken)} tensors taken, {len(self.new)} new, {len(self.left)} left"]
        lines += [f"  new: {path}{shapes}" for path, shapes in self.new.items()]
        lines += [f"  left: {path}" for path in self.left]
        moved = {own: "" if own == other else f" from {other}" for own, other in self.taken.items()}
        return lines + [f"  taken: {own}{other}" for own, other in moved.items()]

    def put(self, begun: TrainState, given: Any, optimizer: optax.GradientTransformation) -> TrainState:
        """The state at step 0 with these variables, as ``Folder.weights`` gives them; what is new stays as it began."""
        old = _named(given)

        def own(path: str, leaf: Any) -> Any:
            return jnp.asarray(old[self.taken[path]], leaf.dtype) if path in self.taken else leaf

        params, variables = (trees.map_paths(own, tree) for tree in (begun.params, begun.variables))
        return begun.replace(params=params, variables=variables, opt_state=optimizer.init(params))


def match(variables: Any, given: Any, where: str, only: Sequence[str] = ()) -> Taken:
    """What of ``given`` the variables begin with: shapes of both. Raises UserError where no parameter fits.

    A path fits the same path; else one that is the other's end, as where a decoder has become a part of something, or
    a part has been taken out. The shapes must be equal. only: regular expressions; a tensor in whose path none is
    found begins anew. What norms have seen goes with their parameters, by the same rules.
    """
    frozen.named(only, variables["params"], of="init_only")
    taken = _fitting(variables["params"], given["params"], only)
    if not taken:
        some = ", ".join(sorted(trees.flatten(given["params"]))[:3])
        raise UserError(f"init_from: no tensor of {where} fits the model; it has {some}, ...")
    for name in sorted((variables.keys() & given.keys()) - {"params"}):
        fits = _fitting(variables[name], given[name], only)
        taken |= {f"{name}/{path}": f"{name}/{other}" for path, other in fits.items()}
    own, old = _named(variables), _named(given)
    new = {path: _reshaped(leaf, old.get(path)) for path, leaf in own.items() if path not in taken}
    return Taken(where, taken, new, tuple(path for path in old if path not in taken.values()))


def _named(variables: Any) -> dict[str, Any]:
    """Leaves by path: of parameters as it is, of other collections behind their name."""
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    return trees.flatten(variables["params"]) | trees.flatten(rest)


def _fitting(tree: Any, given: Any, only: Sequence[str]) -> dict[str, str]:
    """The path that each leaf of a tree fits in the other."""
    own, old = trees.flatten(tree), trees.flatten(given)
    taken: dict[str, str] = {}
    for path, leaf in own.items():
        if only and not any(re.search(pattern, path) for pattern in only):
            continue
        ends = [path, *(other for other in old if path.endswith("/" + other) or other.endswith("/" + path))]
        fits = [other for other in ends if other in old and old[other].shape == leaf.shape]
        exact = fits[:1] if fits[:1] == [path] else fits
        if len(exact) == 1:
            taken[path] = exact[0]
    return taken


def _reshaped(leaf: Any, other: Any) -> str:
    """What differs, where both have the tensor."""
    if other is None or leaf.shape == other.shape:
        return ""
    return f" of shape {tuple(leaf.shape)}, which is {tuple(other.shape)} there"
