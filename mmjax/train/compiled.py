"""How hard the compiler tries, by how often a program runs."""

import os
from collections.abc import Callable
from typing import Any

import jax

# Half the time to compile what begins a run, and the same numbers to the last bit (docs/measurements/step.md).
_QUICK = {"xla_backend_optimization_level": 1}


def once(function: Callable[..., Any], mesh: jax.sharding.Mesh, **how: Any) -> Any:
    """``jax.jit`` for a program that runs once on ``mesh``: compiled quickly rather than to run quickly.

    Compilers for other devices are left to themselves, and whoever sets the level in XLA_FLAGS has decided.
    """
    told = next(iter(_QUICK)) in os.environ.get("XLA_FLAGS", "")
    quick = mesh.devices.flat[0].platform == "cpu" and not told
    return jax.jit(function, compiler_options=_QUICK if quick else None, **how)
