"""How hard the compiler tries."""

import os
from collections.abc import Callable
from typing import Any

import jax

# On processors: what begins a run compiles in half the time to the same bits, a step in nine tenths of it, and runs no
# slower (docs/measurements/step.md).
_QUICK = {"xla_backend_optimization_level": 1}


def jit(function: Callable[..., Any], mesh: jax.sharding.Mesh, **how: Any) -> Any:
    """``jax.jit`` for a program of a run on ``mesh``.

    Compilers for other devices are left to themselves, and whoever sets the level in XLA_FLAGS has decided.
    """
    told = next(iter(_QUICK)) in os.environ.get("XLA_FLAGS", "")
    quick = mesh.devices.flat[0].platform == "cpu" and not told
    return jax.jit(function, compiler_options=_QUICK if quick else None, **how)
