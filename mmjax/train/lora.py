"""Large kernels that learn through small ones: what they become less what they were is a product of low rank."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import UserError, trees
from mmjax.train import matrix

NAME = "lora"  # where the factors stand among the parameters, by the path of their kernel


@dataclasses.dataclass(frozen=True)
class Lora:
    """Low-rank adaptation (Hu et al., 2021, https://arxiv.org/abs/2106.09685) of any linear layer.

    To a kernel whose path one of the patterns ``where`` is found in is added ``scale / rank * down @ up``; ``up``
    begins at 0, so that training begins with the model as it was. Kernels of several axes are matrices of what goes in
    by what comes out. All but the factors should be ``optim.frozen``: ``(r"^(?!lora/)",)``. Evaluation, prediction and
    generation read the sums, which cost nothing more than the kernels did.
    """

    rank: int = 8
    scale: float = 16.0
    where: tuple[str, ...] = (r"(query|value)/kernel$",)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"lora: rank={self.rank} must be 1 or more")

    def begin(self, params: Any, key: jax.Array) -> dict[str, Any]:
        """The parameters with factors for their kernels. Raises UserError for a pattern that matches no kernel."""
        leaves = trees.flatten(params)
        for pattern in self.where:
            if not any(re.search(pattern, path) for path in leaves if path.endswith("kernel")):
                raise UserError(f"lora.where: {pattern!r} is found in no path of a kernel")
        chosen = [path for path in leaves if path.endswith("kernel") and any(re.search(p, path) for p in self.where)]
        factors: dict[str, Any] = {}
        for path, own in zip(chosen, jax.random.split(key, len(chosen)), strict=True):
            *many, inputs, outputs = matrix.shape(path, leaves[path].shape)
            place = factors
            for name in path.split("/"):
                place = place.setdefault(name, {})
            place["down"] = jax.random.normal(own, (*many, inputs, self.rank)) * inputs**-0.5
            place["up"] = jnp.zeros((*many, self.rank, outputs))
        return {**params, NAME: factors}

    def merged(self, params: Any) -> Any:
        """The model's own parameters, with what was learned added to their kernels."""
        if NAME not in params:
            return params
        factors = trees.flatten(params[NAME])

        def add(path: str, leaf: Any) -> Any:
            if f"{path}/down" not in factors:
                return leaf
            change = factors[f"{path}/down"] @ factors[f"{path}/up"]
            return leaf + (self.scale / self.rank * change).reshape(leaf.shape).astype(leaf.dtype)

        return trees.map_paths(add, {name: part for name, part in params.items() if name != NAME})


class Adapted:
    """A model that reads the sums of its kernels and their factors; for all else it is the model."""

    def __init__(self, model: Any, lora: Lora):
        self.model, self.lora = model, lora

    def apply(self, variables: Any, *args: Any, **options: Any) -> Any:
        merged = {**variables, "params": self.lora.merged(variables["params"])}
        return self.model.apply(merged, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def over(model: Any, lora: Lora | None) -> Any:
    """The model as training runs it."""
    return model if lora is None else Adapted(model, lora)
