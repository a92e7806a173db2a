"""Products with kernels that devices share (ZeRO-3, Rajbhandari et al., 2020, https://arxiv.org/abs/1910.02054).

A layer's kernel is brought together for its product, forgotten, and brought together once more for the backward pass;
its gradient is added up where each part of it lives. Compilers find much of this by themselves, but libtpu sends twice
the bytes of a gather over all 64 chips of a torus, and sums gradients of narrow kernels whole on every chip
(docs/measurements/aot.md): so it is said here, and kernels of many chips come together in steps. Dense layers and
tables of words do so; convolutions, experts and what is rounded to eight bits are left to the compiler. Forward-mode
derivatives do not go through.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from mmjax.train import dense
from mmjax.train.shares import Shares


def called(call: Any, args: Any, kwargs: Any, module: linen.Module, shares: Shares) -> Any:
    """What a layer gives, which reads its kernel or its table so where that is shared; ``shares``: of the layer."""
    # The layers of a pipeline run within a shard_map of their own.
    if shares.mesh.shape["fsdp"] == 1 or shares.mesh.shape["pipe"] > 1 or not args:
        return call(*args, **kwargs)
    if isinstance(module, linen.Embed) and module.num_embeddings > 1 and not module.is_initializing():
        own = dataclasses.replace(shares, path=f"{shares.path}/embedding")
        table: Any = module.promote_dtype(module.embedding, dtype=module.dtype, inexact=False)[0]
        return _read(_rows, args[0].ndim, own, args[0], table) if own.splits(table.shape) else call(*args, **kwargs)
    if (product := dense.product(module)) is None:
        return call(*args, **kwargs)
    own = dataclasses.replace(shares, path=f"{shares.path}/kernel")
    with dense.instead(module, functools.partial(_multiplied, product, own)):
        return call(*args, **kwargs)


def _rows(ids: jax.Array, table: jax.Array) -> jax.Array:
    return jnp.take(table, ids, axis=0)


def _multiplied(product: Any, shares: Shares, values: jax.Array, kernel: jax.Array, dims: Any, **how: Any) -> jax.Array:
    """As linen's layers call it."""
    if dims[1][0] or not shares.splits(kernel.shape):
        return product(values, kernel, dims, **how)
    free = min(axis % values.ndim for axis in dims[0][0])
    return _read(lambda values, kernel: product(values, kernel, dims, **how), free, shares, values, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _read(reading: Any, free: int, shares: Shares, values: jax.Array, kernel: jax.Array) -> jax.Array:
    """``reading(values, kernel)``, linear in each of them that is of floats.

    free: the first so many axes of the values are those of what comes out, too: rows, their places, and others.
    """
    return reading(values, shares.whole(kernel))


def _forth(reading: Any, free: int, shares: Shares, values: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
    return reading(values, shares.whole(kernel)), (values, kernel)


def _back(reading: Any, free: int, shares: Shares, kept: Any, gradient: jax.Array) -> tuple[jax.Array | None, Any]:
    values, kernel = kept
    toward_values = None
    if jnp.issubdtype(values.dtype, jnp.inexact):
        # Not before the gradient is there: else what came together for the forward pass would be kept till now.
        again, gradient = jax.lax.optimization_barrier((kernel, gradient))
        (toward_values,) = jax.linear_transpose(lambda v: reading(v, shares.whole(again)), values)(gradient)

    def toward(values: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda kernel: reading(values, kernel), kernel)(gradient)[0]

    own = shares.of(values.shape[:free]) if free else None
    if own is None:
        return toward_values, shares.placed(toward(values, gradient))
    return toward_values, own.summed(jax.vmap(toward)(own.cut(values), own.cut(gradient)))


_read.defvjp(_forth, _back)
