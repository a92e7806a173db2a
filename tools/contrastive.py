"""A contrastive loss for TPUs that are not there: ``python -m tools.contrastive [--rows N] [--width D]``.

Value and gradient by the vectors of both sides and the temperature, compiled ahead of time (``libtpu``) for rows that
all chips share; nothing is run. One JSON line: the bytes that a chip needs at the peak, of which ``given`` are the
vectors and as many their gradients; ``dense`` is the formula that makes all logits, each chip those of its own rows.
"""

import argparse
import json
import os
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.objectives import pairwise
from mmjax.objectives.contrastive import Sigmoid, Softmax
from mmjax.train import Mesh, across, sharding
from tools import aot, hlo

Array = jax.Array


def measure(rows: int, width: int, topology: str, *, kind: str, chunk: int, dtype: str) -> dict[str, Any]:
    """What a chip of the topology needs, JSON-ready."""
    mesh = Mesh().build(aot.devices(topology))
    rule = {"softmax": Softmax(), "sigmoid": Sigmoid(), "hard": Softmax(0.5)}[kind]
    ring, mask = across.Ring(mesh), jnp.ones(rows, bool)

    def pieces(queries: Array, keys: Array, sharpness: Array) -> Array:
        return pairwise.total(queries, keys, mask, *sharpness, rule, chunk, ring) / rows  # pyright: ignore

    def dense(queries: Array, keys: Array, sharpness: Array) -> Array:
        logits = sharpness[0] * queries @ keys.T + sharpness[1]
        own = jnp.eye(rows, dtype=bool)
        if kind == "sigmoid":
            return -jnp.sum(jax.nn.log_sigmoid(jnp.where(own, logits, -logits))) / rows
        both = jax.nn.log_softmax(logits, axis=0) + jax.nn.log_softmax(logits, axis=1)
        return -jnp.sum(jnp.where(own, both, 0)) / (2 * rows)

    spread, whole = NamedSharding(mesh, PartitionSpec(sharding.ROWS)), NamedSharding(mesh, PartitionSpec())
    vectors = jax.ShapeDtypeStruct((rows, width), jnp.dtype(dtype))
    given = vectors, vectors, jax.ShapeDtypeStruct((2,), jnp.float32)
    places = (spread, spread, whole)
    out: dict[str, Any] = {"rows": rows, "width": width, "topology": topology, "kind": kind, "chunk": chunk}
    out |= {"dtype": dtype, "chips": mesh.size}
    for name, function in (("ring", pieces), ("dense", dense)):
        step = jax.jit(
            jax.value_and_grad(function, argnums=(0, 1, 2)), in_shardings=places, out_shardings=(whole, places)
        )
        with jax.set_mesh(mesh), aot.unkept():
            compiled = step.lower(*given).compile()
        memory: Any = compiled.memory_analysis()
        arguments, results, temporary = (
            getattr(memory, f"{part}_size_in_bytes") for part in ("argument", "output", "temp")
        )
        out[name] = {
            "peak_mb": round((arguments + results + temporary) / 1e6, 1),
            "given_mb": round(arguments / 1e6, 1),
            "temporary_mb": round(temporary / 1e6, 1),
            "collectives": hlo.traffic(compiled.as_text() or "", mesh.size),
        }
    return out


def main() -> None:
    """Measure what the flags say."""
    parser = argparse.ArgumentParser(prog="tools.contrastive", description=__doc__, allow_abbrev=False)
    for name, value in (("rows", 32_768), ("width", 768), ("chunk", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--topology", default="v5e:2x4", help="as v5e:2x4, v5p:2x2x2, v6e:8x8")
    parser.add_argument("--kind", default="softmax", choices=("softmax", "sigmoid", "hard"))
    parser.add_argument("--dtype", default="float32")
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
