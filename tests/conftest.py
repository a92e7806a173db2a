"""One machine for every test: eight CPU devices, shapes checked, compilations kept between runs."""

import functools
import gc
import os
from importlib.metadata import version
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Nearly all the time goes into compiling tiny programs, which need no optimising. Fusions by templates take most of
# it; jaxlib 0.10 can do without, later ones know no such flag and would end at once.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
    ]
).strip()

import jax
import jaxtyping
import pytest

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


def _checked(function=None, **how):
    """jaxtyping's decorator, but for functions within functions that say no shapes: each call would make it anew."""
    if function is None:
        return functools.partial(_checked, **how)
    told = getattr(function, "__annotations__", {}).values()
    shapes = any(isinstance(kind, type) and issubclass(kind, jaxtyping.AbstractArray) for kind in told)
    return _JAXTYPED(function, **how) if shapes or "<locals>" not in function.__qualname__ else function


_JAXTYPED, jaxtyping.jaxtyped = jaxtyping.jaxtyped, _checked
jaxtyping.install_import_hook(_CHECKED, "beartype.beartype")


@pytest.fixture(autouse=True)
def _room_for_programs():
    """Forget compiled programs before they fill a process's table of memory maps, as thousands of them would.

    Each holds some maps; at the system's limit (65,530 unless told otherwise) the process ends without a word.
    """
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.collect()


def pytest_collection_modifyitems(items):
    """Contracts of one row after the other, so that one process asks for its programs, and asks once."""
    held = [i for i, item in enumerate(items) if item.path.name == "test_contracts.py" and hasattr(item, "callspec")]
    rows: dict[str, list] = {}
    for i in held:
        rows.setdefault(str(items[i].callspec.params["row"]), []).append(items[i])
    for i, item in zip(held, [item for row in rows.values() for item in row], strict=True):
        items[i] = item
