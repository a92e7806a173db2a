"""What the compiler is told."""

import os
from collections.abc import Callable
from typing import Any

import jax

from mmjax.train import sharding

# On processors: what begins a run compiles in half the time or less, a step in less, and it runs no slower
# (docs/measurements/step.md).
_QUICK = {"xla_backend_optimization_level": 1, "xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE"}
# Where one processor does it all: Eigen's products, which are a tenth faster there than YNNPACK's (docs/measurements/
# step.md), and YNNPACK for sums alone. oneDNN's are as fast, but no program with them can be kept in a cache.
_PRODUCTS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
# On TPUs whose chips share arrays: gradients are scattered where libtpu would sum them whole on every chip, which sends
# twice the bytes (docs/measurements/aot.md). For generations that have sparse cores and were compiled for: v5p, v6e.
_SCATTERED = {"xla_tpu_enable_sparse_core_collective_offload_nd_reduce_scatter": True}
_SPARSE = ("TPU v5", "TPU v5p", "TPU v6 lite", "TPU v6e")


def jit(function: Callable[..., Any], mesh: jax.sharding.Mesh, **how: Any) -> Any:
    """``jax.jit`` for a program of a run on ``mesh``.

    Whoever sets an option in XLA_FLAGS or LIBTPU_INIT_ARGS has decided.
    """
    told = os.environ.get("XLA_FLAGS", "") + os.environ.get("LIBTPU_INIT_ARGS", "")
    options = {name: value for name, value in _options(mesh).items() if name not in told}
    return jax.jit(function, compiler_options=options or None, **how)


def step(function: Callable[..., Any], shardings: Any, mesh: jax.sharding.Mesh) -> Any:
    """The same of ``(state, batch) -> (state, metrics)``, which takes the state away from whoever gives it."""
    given, told = (shardings, sharding.batch_sharding(mesh)), (shardings, sharding.replicated(mesh))
    return jit(function, mesh, donate_argnums=0, in_shardings=given, out_shardings=told)


def _options(mesh: jax.sharding.Mesh) -> dict[str, Any]:
    device = mesh.devices.flat[0]
    if device.device_kind in _SPARSE and mesh.shape.get("fsdp", 1) > 1:
        return _SCATTERED
    if device.platform != "cpu":
        return {}
    return _QUICK | _PRODUCTS if mesh.size == 1 else _QUICK
