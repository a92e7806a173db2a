"""Which attention is faster here: ``python -m tools.attention [--length N] [--size H] [--band N] [--whole] ...``.

One JSON line for each kind that fits the devices: milliseconds of value and gradient (median of turns, by turns),
TFLOP/s as if nothing were spared but what a causal mask leaves out, the largest difference to the plain way, and
whether rows that pack two documents leak a bit of one into the other.
"""

import argparse
import json
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import UserError, masks
from mmjax.nn import dot
from mmjax.train import Mesh, kernel


def function(kind: str, mesh: Any, numbers: jax.Array, fields: dict[str, Any]) -> Any:
    """Compiled, from query, key and value to what is mixed and gradients. UserError where ``kind`` does not fit."""
    among = masks.Among(numbers > 0, numbers)

    def mixed(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        if kind == "plain":
            return dot.attention(query, key, value, None, masks.dense(among), **fields)
        found = kernel.attend(kind, mesh, query, key, value, None, among, **fields)
        if found is None:
            raise UserError(f"{kind} does not fit these shapes")
        return found

    def both(*parts: jax.Array) -> Any:
        out, back = jax.vjp(mixed, *parts)
        return out, back(out)

    return jax.jit(both)


def main() -> None:
    """Every kind that there is for these devices."""
    parser = argparse.ArgumentParser(prog="tools.attention")
    for name, value in (("rows", 8), ("length", 2048), ("heads", 16), ("kv_heads", 16), ("size", 128), ("turns", 21)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--band", type=int, default=0)
    parser.add_argument("--whole", action="store_true", help="every token sees all, not those before it alone")
    parser.add_argument("--dtype", default="bfloat16")
    given = parser.parse_args()
    mesh, causal = Mesh().build(), not given.whole
    back = (given.band - 1, 0 if causal else given.band - 1) if given.band else None
    fields = {"causal": causal, "reach": back}
    keys = jax.random.split(jax.random.key(0), 3)
    heads = (given.heads, given.kv_heads, given.kv_heads)
    shape = given.rows, given.length
    parts = [jax.random.normal(k, (*shape, n, given.size), given.dtype) for k, n in zip(keys, heads, strict=True)]
    numbers = jnp.broadcast_to(1 + (jnp.arange(given.length) >= given.length // 2), shape).astype(jnp.int32)
    spoilt = [part.at[:, given.length // 2 :].set(3) for part in parts]
    steps, seconds, facts = {}, {}, {}
    for kind in kernel.PLATFORMS:
        try:
            kernel.check(kind, mesh)
            steps[kind] = function(kind, mesh, numbers, fields)
            out, changed = steps[kind](*parts)[0], steps[kind](*spoilt)[0]
        except UserError as error:
            steps.pop(kind, None)
            print(json.dumps({"kind": kind, "left_out": str(error)}))
            continue
        first, seconds[kind] = slice(None, given.length // 2), []
        plain = steps["plain"](*parts)[0].astype(jnp.float32)
        facts[kind] = {
            "difference": float(jnp.max(jnp.abs(out.astype(jnp.float32) - plain))),
            "leaks": not bool(jnp.array_equal(out[:, first], changed[:, first])),
        }
    for _ in range(given.turns):
        for kind, step in steps.items():
            start = time.perf_counter()
            jax.block_until_ready(step(*parts))
            seconds[kind].append(time.perf_counter() - start)
    work = 3 * 4 * given.rows * given.length**2 * given.heads * given.size / (2 if causal else 1)
    for kind, times in seconds.items():
        median = statistics.median(times)
        speed = {"ms": round(1e3 * median, 3), "tflops": round(work / median / 1e12, 2)}
        print(json.dumps({"kind": kind, "device": jax.devices()[0].device_kind, **vars(given), **speed, **facts[kind]}))


if __name__ == "__main__":
    main()
