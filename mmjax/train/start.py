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
    """where: another run's folder. taken: its path of each parameter that begins with what it learned, by own path.

    new: parameters that begin anew, each with its shape where the other run has it in another one, else "". left: what
    that run has besides.
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
        moved = [(own, other) for own, other in self.taken.items() if own != other]
        return lines + [f"  taken: {own} from {other}" for own, other in moved]

    def put(self, begun: TrainState, given: Any, optimizer: optax.GradientTransformation) -> TrainState:
        """The state at step 0 with these parameters; what is new stays as it began."""
        old = trees.flatten(given)

        def own(path: str, leaf: Any) -> Any:
            return jnp.asarray(old[self.taken[path]], leaf.dtype) if path in self.taken else leaf

        params = trees.map_paths(own, begun.params)
        return begun.replace(params=params, opt_state=optimizer.init(params))


def match(params: Any, given: Any, where: str, only: Sequence[str] = ()) -> Taken:
    """What of ``given`` the parameters begin with: shapes of both, by path. Raises UserError where nothing fits.

    A path fits the same path; else one that is the other's end, as where a decoder has become a part of something, or
    a part has been taken out. The shapes must be equal. only: regular expressions; a parameter in whose path none is
    found begins anew.
    """
    frozen.named(only, params, of="init_only")
    own, old = trees.flatten(params), trees.flatten(given)
    taken: dict[str, str] = {}
    for path, leaf in own.items():
        if only and not any(re.search(pattern, path) for pattern in only):
            continue
        ends = [path, *(other for other in old if path.endswith("/" + other) or other.endswith("/" + path))]
        fits = [other for other in ends if other in old and old[other].shape == leaf.shape]
        exact = fits[:1] if fits[:1] == [path] else fits
        if len(exact) == 1:
            taken[path] = exact[0]
    if not taken:
        raise UserError(f"init_from: no tensor of {where} fits the model; it has {', '.join(sorted(old)[:3])}, ...")
    new = {path: _reshaped(leaf, old.get(path)) for path, leaf in own.items() if path not in taken}
    return Taken(where, taken, new, tuple(path for path in old if path not in taken.values()))


def _reshaped(leaf: Any, other: Any) -> str:
    """What differs, where both have the parameter."""
    if other is None or leaf.shape == other.shape:
        return ""
    return f" of shape {tuple(leaf.shape)}, which is {tuple(other.shape)} there"
