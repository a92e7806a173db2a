"""Parameters that stay as they are: no gradient is computed for them, and an optimizer keeps nothing of them."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import jax
import optax
from flax import linen

from mmjax.core import UserError, trees


def check(patterns: tuple[str, ...], params: Any) -> None:
    """Raises UserError for a pattern that is found in no path, and where nothing is left that learns."""
    named(patterns, params, of="optim.frozen")
    if patterns and not trees.flatten(learned(patterns, params)):
        raise UserError("optim.frozen: all parameters are, so that nothing learns")


def named(patterns: Iterable[str], params: Any, *, of: str) -> None:
    """Raises UserError for a pattern that is found in no path; ``of`` is the field that has it."""
    paths = trees.flatten(params)
    for pattern in patterns:
        if not any(re.search(pattern, path) for path in paths):
            raise UserError(f"{of}: {pattern!r} is found in no parameter's path; `mmjax show` lists them")


def regular(patterns: Iterable[str], *, of: str) -> None:
    """Raises UserError for a pattern that is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{of}: {pattern!r} is no regular expression: {error}") from None


def learned(patterns: tuple[str, ...], params: Any) -> Any:
    """The parameters with nothing (None, which trees pass over) in place of those that are frozen."""
    return trees.map_paths(lambda path, leaf: None if stays(patterns, path) else leaf, params) if patterns else params


def whole(part: Any, params: Any) -> Any:
    """All parameters: those of ``part``, and where it has none those of ``params``."""
    return jax.tree.map(lambda new, old: old if new is None else new, part, params, is_leaf=lambda leaf: leaf is None)


def over(step: optax.GradientTransformation, patterns: tuple[str, ...]) -> optax.GradientTransformation:
    """``step`` of the parameters that learn; gradients and updates have them alone."""
    regular(patterns, of="optim.frozen")
    if not patterns:
        return step

    def init(params: Any) -> Any:
        return step.init(learned(patterns, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return step.update(updates, state, learned(patterns, params))

    return optax.GradientTransformation(init, update)


def still(patterns: tuple[str, ...]) -> Callable[..., Any]:
    """An interceptor of linen's methods: norms whose scale is frozen keep, and go by, their running statistics."""

    def call(method: Any, args: Any, kwargs: Any, context: linen.module.InterceptorContext) -> Any:
        module = context.module
        own = module.has_variable("params", "scale") and module.has_variable("batch_stats", "mean")
        if own and stays(patterns, "/".join((*module.path, "scale"))):
            kwargs = {**kwargs, "train": False}
        return method(*args, **kwargs)

    return call


def stays(patterns: tuple[str, ...], path: str) -> bool:
    """Whether the parameter of this path is frozen."""
    return any(re.search(pattern, path) for pattern in patterns)
