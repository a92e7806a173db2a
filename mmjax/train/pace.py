"""Parameters that learn at other rates than the rest: by their paths, and by how deep they lie."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mmjax.core import UserError, trees
from mmjax.train import frozen

# A trunk's layers, one by one or stacked along the first axis of each array, and the tower that the trunk stands in.
_LAYER = re.compile(r"^(?P<tower>(?:.*/)?)trunk/(?:block_(?P<number>\d+)|blocks)/")
_AFTER = re.compile(r"^(word_kernel$|heads?(_[^/]+)?/)")  # what a tower does with the last layer


def check(rates: Mapping[str, float], decay: float, params: Any) -> None:
    """Raises UserError for a pattern in no path, a factor that is none, and a decay where there are no layers."""
    frozen.named(rates, params, of="optim.rates")
    for pattern, factor in rates.items():
        if factor <= 0:
            raise UserError(f"optim.rates: {pattern!r} has {factor}; it must be above 0, and optim.frozen is for 0")
    if not 0 < decay <= 1:
        raise UserError(f"optim.layer_decay={decay} must be above 0 and at most 1")
    if decay != 1 and not _depths(params):
        raise UserError("optim.layer_decay: the model has no trunk with layers")


def factors(rates: Mapping[str, float], decay: float, params: Any) -> Any:
    """What the rate of each parameter is multiplied by: a number, or for stacked layers one for each, by axis 0.

    It is the product of the factors of all patterns that are found in the path. Decay is that of
    BEiT (Bao et al., 2021, https://arxiv.org/abs/2106.08254): of L layers in a trunk, the last has ``decay``, the first
    ``decay ** L``, what comes before them in the same tower ``decay ** (L + 1)``, and all else 1.
    """
    depths = _depths(params) if decay != 1 else {}

    def one(path: str, leaf: Any) -> Any:
        number = 1.0
        for pattern, factor in rates.items():
            number *= factor if re.search(pattern, path) else 1.0
        layers = None
        for tower, depth in depths.items():
            if not path.startswith(tower) or _AFTER.search(path[len(tower) :]):
                continue
            layer = _LAYER.search(path)
            if layer is None or layer["tower"] != tower:
                number *= 1.0 if path.startswith(f"{tower}trunk/") else decay ** (depth + 1)
            elif layer["number"] is not None:
                number *= decay ** (depth - int(layer["number"]))
            else:
                layers = decay ** (depth - jnp.arange(depth, dtype=jnp.float32))
        if layers is None:
            return number
        return number * layers.reshape(-1, *(1,) * (leaf.ndim - 1))

    return trees.map_paths(one, params)


def scaled(rates: Mapping[str, float], decay: float) -> optax.GradientTransformation:
    """The updates by those factors, whatever rule they are of; put it behind the rule in a chain."""
    frozen.regular(rates, of="optim.rates")

    def update(updates: Any, params: Any = None) -> Any:
        return jax.tree.map(lambda u, f: (u * f).astype(u.dtype), updates, factors(rates, decay, updates))

    return optax.stateless(update)


def _depths(params: Any) -> dict[str, int]:
    """How many layers the trunk of each tower has, by the path of the tower."""
    depths: dict[str, int] = {}
    for path, leaf in trees.flatten(params).items():
        layer = _LAYER.search(path)
        if layer:
            depth = leaf.shape[0] if layer["number"] is None else int(layer["number"]) + 1
            depths[layer["tower"]] = max(depths.get(layer["tower"], 0), depth)
    return depths
