"""Cross-entropy over many words, from factors and dense: ``python -m tools.loss [--rows N] [--width D] [--words K]``.

One JSON line: the temporaries of value and gradient by the compiler's own account, and the time of both by turns.
"""

import argparse
import json
import statistics
import time

import jax
import jax.numpy as jnp

from mmjax.objectives import chunked


def main() -> None:
    """Compile both, run both."""
    parser = argparse.ArgumentParser(prog="tools.loss")
    for name, value in (("rows", 4096), ("width", 256), ("words", 131_072), ("pieces", 32), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    keys = jax.random.split(jax.random.key(0), 3)
    features = jax.random.normal(keys[0], (given.rows, given.width))
    kernel = jax.random.normal(keys[1], (given.width, given.words)) * given.width**-0.5
    labels = jax.random.randint(keys[2], (given.rows,), 0, given.words)
    mask, weights = jnp.ones(given.rows, bool), jnp.ones(given.words)

    def dense(features: jax.Array, kernel: jax.Array) -> jax.Array:
        logs = jax.nn.log_softmax(features @ kernel)
        return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1))

    def pieces(features: jax.Array, kernel: jax.Array) -> jax.Array:
        return chunked.total(features, kernel, labels, mask, weights, 0.0, given.pieces) / given.rows

    out, steps, busy = {"device": jax.devices()[0].device_kind, **vars(given)}, {}, {"dense": [], "chunked": []}
    for name, function in (("dense", dense), ("chunked", pieces)):
        steps[name] = jax.jit(jax.value_and_grad(function, argnums=(0, 1))).lower(features, kernel).compile()
        out[f"{name}_temporaries_mb"] = round(steps[name].memory_analysis().temp_size_in_bytes / 1e6, 1)
        jax.block_until_ready(steps[name](features, kernel))
    for _ in range(given.turns):
        for name, step in steps.items():
            start = time.perf_counter()
            jax.block_until_ready(step(features, kernel))
            busy[name].append(time.perf_counter() - start)
    out |= {f"{name}_s": round(statistics.median(times), 3) for name, times in busy.items()}
    ratios = [a / b for a, b in zip(busy["chunked"], busy["dense"], strict=True)]
    out["time"] = round(statistics.median(ratios), 3)
    out["memory"] = round(out["chunked_temporaries_mb"] / out["dense_temporaries_mb"], 4)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
