"""Parameter trees by path: paths are an API that rules, checkpoints and weight maps read."""

import math
from collections.abc import Callable
from typing import Any

import jax


def path_of(keys: tuple[Any, ...]) -> str:
    """A tree path as ``a/b/c``."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in keys)


def flatten(tree: Any) -> dict[str, Any]:
    """Leaves by path, in the tree's own order."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def map_paths(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """``function(path, leaf)`` over every leaf."""
    return jax.tree_util.tree_map_with_path(lambda keys, leaf: function(path_of(keys), leaf), tree)


def count(tree: Any) -> int:
    """How many numbers the tree holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
