"""A recipe file to its experiment. Mistakes in it are one line that names the file and the line."""

import runpy
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmjax.core import UserError
from mmjax.train import Experiment

# Functions that refuse what a recipe says without having begun on it: a value that has no such field
# (``init_wrapper`` is linen's), a package that has no such name.
_REFUSALS = {"__init__", "__post_init__", "init_wrapper", "__getattr__"}


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says."""

    name: str
    about: str
    experiment: Experiment


def load(path: str) -> Recipe:
    """Run the file at ``path`` and call its ``config``. Raises UserError for whatever its author can mend."""
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such recipe; it should be a Python file with `def config()`")
    names = _guarded(path, lambda: runpy.run_path(path, run_name=Path(path).stem))
    config = names.get("config")
    if not callable(config):
        raise UserError(f"{path} has no function `config() -> Experiment`")
    experiment = _guarded(path, config)
    if not isinstance(experiment, Experiment):
        raise UserError(f"{path}: config() gave {type(experiment).__name__}, not an Experiment")
    about = (config.__doc__ or names.get("__doc__") or "").strip()
    return Recipe(Path(path).stem, about, experiment)


def _guarded(path: str, act: Callable[[], Any]) -> Any:
    """``act()``, where a mistake that the recipe's author can mend becomes one line. Deeper ones pass."""
    try:
        return act()
    except Exception as error:  # a recipe is Python and can raise anything; what is not its own goes on
        reason = _reason(path, error)
        if reason is None:
            raise
        raise UserError(reason) from error


def _reason(path: str, error: Exception) -> str | None:
    """What to tell about ``error``, or None where it did not come from the recipe."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [i for i, frame in enumerate(frames) if frame.filename == path]
    if not own:  # the recipe never ran
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        return f"{path}{line}: {getattr(error, 'msg', error)}" if isinstance(error, SyntaxError | ValueError) else None
    line = f"{path} line {frames[own[-1]].lineno}"
    if isinstance(error, UserError):
        return f"{line}: {error}"
    below = {frame.name for frame in frames[own[-1] + 1 :]}
    if below <= _REFUSALS or isinstance(error, ImportError | SyntaxError):
        return f"{line}: {type(error).__name__}: {error}"
    return None
