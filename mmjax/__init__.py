"""mmjax: models that see, hear, read and sense, in JAX.

Rooms are loaded when first used, so importing the package costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_ROOMS = (
    "compare",
    "core",
    "data",
    "datasets",
    "decoders",
    "encoders",
    "fields",
    "fit",
    "flops",
    "fusion",
    "generate",
    "heads",
    "metrics",
    "model",
    "nn",
    "objectives",
    "predict",
    "show",
    "tokenizers",
    "train",
    "transforms",
    "views",
    "zoo",
)
_ALIASES = {name: f"data.{name}" for name in ("datasets", "fields", "tokenizers", "transforms")}
_NAMES = {
    "Multimodal": "model",
    "Experiment": "train",
    "Evaluator": "train",
    "Optim": "train",
    "Run": "train",
    "Mesh": "train",
    "evaluate": "train",
}

__all__ = [*_ROOMS, *_NAMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"mmjax.{_NAMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"mmjax.{_ALIASES.get(name, name)}")
    raise AttributeError(f"module 'mmjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
