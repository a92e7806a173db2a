"""One machine for every test: eight CPU devices, shapes checked, compilations kept between runs."""

import gc
import os
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Nearly all the time goes into compiling tiny programs, which need no optimising.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
).strip()

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

_MAPS = Path("/proc/self/maps")

# mmjax.core stays outside: tree transformations rebuild its structs around shardings and counts too.
_CHECKED = [
    "mmjax.nn",
    "mmjax.encoders",
    "mmjax.fusion",
    "mmjax.heads",
    "mmjax.decoders",
    "mmjax.objectives",
    "mmjax.metrics",
]
install_import_hook(_CHECKED, "beartype.beartype")


@pytest.fixture(autouse=True)
def _room_for_programs():
    """Forget compiled programs before they fill a process's table of memory maps, as thousands of them would.

    Each holds some maps; at the system's limit (65,530 unless told otherwise) the process ends without a word.
    """
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.collect()
