"""Attention over tokens that lie on several devices, each with its own part of every row.

Two ways, which give what ``jax.nn.dot_product_attention`` gives. "ring": keys and values go round, and each device
keeps the running softmax of its queries over what came by, so that nobody holds a whole row (Liu et al., 2023,
https://arxiv.org/abs/2310.01889). "heads": tokens and heads change places, so that each device has whole rows of some
heads (Jacobs et al., 2023, https://arxiv.org/abs/2309.14509); less travels, but the heads have to divide.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mmjax.core import UserError
from mmjax.train import ring
from mmjax.train.sharding import ROWS, AnyMesh, rows


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array | None,
    allowed: jax.Array | None,
    *,
    causal: bool,
    reach: tuple[int, int] | None,
    mesh: AnyMesh,
    exchange: str,
) -> jax.Array:
    """``query`` (b q k h) over ``key`` and ``value`` (b n g h), where g divides k. Result: b q k h.

    bias and allowed: b or 1, k or 1, q, n. reach: how far before and after its own place a query sees. Lengths
    need not divide by the devices; what they lack is padded. Raises UserError where heads cannot change places.
    """
    parts = mesh.shape["context"]
    lengths = query.shape[1], key.shape[1]
    query, key, value = (_padded(x, 1, parts) for x in (query, key, value))
    batch = ROWS if query.shape[0] % rows(mesh) == 0 else None
    heads = "tensor" if key.shape[2] % mesh.shape["tensor"] == 0 else None
    if exchange == "heads":
        local = key.shape[2] // (mesh.shape["tensor"] if heads else 1)
        if local % parts:
            raise UserError(f"mesh.exchange='heads': {local} heads do not divide by mesh.context={parts}; use 'ring'")
        inner = ring.swapped(lengths, causal=causal, reach=reach, sent=_read(query.dtype, mesh))
        columns: Any = (("context",) if heads is None else ("tensor", "context"), None)
    else:
        bias, allowed = (None if x is None else _padded(_padded(x, 2, parts), 3, parts) for x in (bias, allowed))
        inner = ring.Ring(parts, lengths[1], causal, reach).local()
        columns = (heads, "context")
    tokens = PartitionSpec(batch, "context", heads, None)
    sides = [None if x is None else _side(x.shape, batch, *columns) for x in (bias, allowed)]
    # Axes that split nothing here carry copies, which check_vma would want to see proved equal.
    mapped = jax.shard_map(inner, mesh=mesh, in_specs=(tokens,) * 3 + tuple(sides), out_specs=tokens, check_vma=False)
    return mapped(query, key, value, bias, allowed)[:, : lengths[0]]


def _read(dtype: Any, mesh: AnyMesh) -> Any:
    """The type in which the products at either end read such numbers: on a TPU half of float32, unless told otherwise.

    Said outright, as what else reads a gradient there, the sum for a bias, would have it sent whole.
    """
    tpu = isinstance(mesh, jax.sharding.Mesh) and all(device.platform == "tpu" for device in mesh.devices.flat)
    precision = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    halved = precision in (None, "default", "fastest", "bfloat16")
    return jnp.dtype(jnp.bfloat16) if tpu and halved and dtype == jnp.float32 else jnp.dtype(dtype)


def _padded(array: jax.Array, axis: int, parts: int) -> jax.Array:
    missing = -array.shape[axis] % parts
    return jnp.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)]) if missing else array


def _side(shape: tuple[int, ...], batch: Any, heads: Any, queries: str | None) -> PartitionSpec:
    """Where a bias or a mask lives; an axis of one is everyone's."""
    return PartitionSpec(batch if shape[0] > 1 else None, heads if shape[1] > 1 else None, queries, None)
