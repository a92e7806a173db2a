"""Attention by a kernel of the device's maker, where the mesh asks for one and it fits; elsewhere the plain way.

======  ============  ================================================================================================
kind    devices       what fits
======  ============  ================================================================================================
plain   all           everything
cudnn   NVIDIA GPUs   half precision, heads of a multiple of 8 features up to 128, a band that looks back alone
splash  TPUs          tokens that look at themselves, 64 a row or more; masks and segments, but no biases. A row is
                      filled up to a multiple of 128 with tokens that take no part. Whatever the mask leaves out as a
                      whole is not computed, and no scores are kept.
======  ============  ================================================================================================

Which is faster depends on shapes and devices: ``python -m tools.attention`` measures them. ``mmjax.flops`` cannot see
into a kernel, so utilisation (MFU) leaves out what one does.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mmjax.core import UserError, masks
from mmjax.train.sharding import ROWS, AnyMesh, rows

PLATFORMS = {"plain": "", "cudnn": "gpu", "splash": "tpu"}
_TILE = 128


def check(kind: str, mesh: AnyMesh) -> None:
    """Raises UserError for a kernel that there is not, or not for these devices."""
    if kind not in PLATFORMS:
        raise UserError(f"mesh.attention={kind!r}; it can be {', '.join(PLATFORMS)}")
    platforms = {device.platform for device in mesh.devices.flat} if isinstance(mesh, jax.sharding.Mesh) else set()
    wanted = PLATFORMS[kind]
    if wanted and platforms and not all(p.replace("cuda", "gpu") == wanted for p in platforms):
        raise UserError(f"mesh.attention={kind!r} is for {wanted}s; these devices are {', '.join(sorted(platforms))}s")


def attend(
    kind: str,
    mesh: AnyMesh,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array | None,
    allowed: Any,
    *,
    causal: bool,
    reach: tuple[int, int] | None,
) -> jax.Array | None:
    """``query`` (b q k h) over ``key`` and ``value`` (b n g h) by kernel ``kind``; None where it does not fit."""
    if kind == "cudnn" and _suits_cudnn(query, causal, reach):
        allowed = masks.dense(allowed)
        how = {"is_causal": causal, "local_window_size": reach, "implementation": "cudnn"}
        return jax.nn.dot_product_attention(query, key, value, bias, allowed, **how)
    if kind == "splash" and bias is None and _suits_splash(query, key, allowed):
        numbers = jnp.ones(query.shape[:2], jnp.int32) if allowed is None else allowed.numbers()
        local = splash(query.shape[1], causal=causal, reach=reach)
        batch = ROWS if query.shape[0] % rows(mesh) == 0 else None
        heads = "tensor" if key.shape[2] % mesh.shape["tensor"] == 0 else None
        tokens = PartitionSpec(batch, None, heads, None)
        places = (tokens, tokens, tokens, PartitionSpec(batch, None))
        return jax.shard_map(local, mesh=mesh, in_specs=places, out_specs=tokens, check_vma=False)(
            query, key, value, numbers
        )
    return None


def splash(length: int, *, causal: bool, reach: tuple[int, int] | None, interpret: bool = False) -> Any:
    """``(query, key, value, numbers) -> mixed``; tokens (b n) look at those of their own number.

    What fills a row up to whole tiles has number 0, as padding has. The backward pass finds what it was given as it
    was, and what came out: filled up, and with a head's features last, a TPU would hold twice as much. With a
    ``remat`` that computes attention again neither is kept.
    """
    from jax.experimental.pallas.ops.tpu import splash_attention as room  # slow to import, and for TPUs alone

    whole, filled = length + -length % _TILE, -length % _TILE
    tile = next(size for size in (512, 256, _TILE) if whole % size == 0)
    names = ("q", "kv", "kv_compute", "q_dkv", "kv_dkv", "kv_dkv_compute", "q_dq", "kv_dq")
    sizes = room.BlockSizes(**{f"block_{name}": tile for name in names})  # pyright: ignore[reportArgumentType]
    mask: Any = room.CausalMask((whole, whole)) if causal else room.FullMask((whole, whole))
    if reach is not None:
        mask = room.LocalMask((whole, whole), (reach[0], 0 if causal else reach[1]), 0)

    def filling(part: Any, heads: int) -> Any:
        part = jnp.swapaxes(part.reshape(*part.shape[:2], heads, -1), 1, 2)
        return jnp.pad(part, ((0, 0), (0, 0), (0, filled), (0, 0)))

    def flat(part: Any) -> Any:
        return jnp.swapaxes(part[:, :, :length], 1, 2).reshape(part.shape[0], length, -1)

    def local(query: Any, key: Any, value: Any, numbers: Any) -> Any:
        shape, shared = query.shape, key.shape[2]
        kernel = room.make_splash_mha(
            room.MultiHeadMask([mask] * shape[2]), block_sizes=sizes, head_shards=1, q_seq_shards=1, interpret=interpret
        )

        def mixed(query: Any, key: Any, value: Any, numbers: Any) -> Any:
            segments = room.SegmentIds(*[jnp.pad(numbers, ((0, 0), (0, filled)))] * 2)
            out: Any = jax.vmap(kernel)(query, key, value, segments)
            return out.astype(query.dtype)

        given = (query * shape[3] ** -0.5, key, value)
        given = (part.reshape(*part.shape[:2], -1) for part in given)
        heads = (shape[2], shared, shared)
        return lean(mixed, heads=heads, fill=filling, flat=flat)(*given, numbers).reshape(shape)

    return local


def lean(mixed: Callable[..., Any], *, heads: Sequence[int], fill: Callable[..., Any], flat: Callable[..., Any]) -> Any:
    """``mixed`` of what is filled, for what is flat: the backward pass finds both what it was given and what came out
    flat, and fills it anew, where the kernel's own rule would keep them filled.

    heads: of each array, for ``fill(array, heads)``; ``flat`` takes what comes out back.
    """

    def filled(arrays: Sequence[Any]) -> list[Any]:  # those given, and what came out if it is with them
        return [fill(array, many) for array, many in zip(arrays, (*heads, heads[0]), strict=False)]

    @jax.custom_vjp
    def run(*given: Any) -> Any:
        *arrays, numbers = given
        return flat(mixed(*filled(arrays), numbers=numbers))

    def forward(*given: Any) -> tuple[Any, Any]:
        *arrays, numbers = given
        parts = filled(arrays)
        out, back = jax.vjp(functools.partial(mixed, numbers=numbers), *parts)
        result = flat(out)
        leaves, tree = jax.tree.flatten(back)
        large = (*parts, out)
        # Which of those the rule keeps is known by identity: what is not found is kept as it is.
        places = [next((n for n, one in enumerate(large) if one is leaf), None) for leaf in leaves]
        small = [leaf for leaf, place in zip(leaves, places, strict=True) if place is None]

        def rebuilt(arrays: Any, small: Any) -> Any:
            parts, others = filled(arrays), iter(small)
            return jax.tree.unflatten(tree, [next(others) if place is None else parts[place] for place in places])

        return result, jax.tree_util.Partial(rebuilt, (*arrays, result), small)

    def backward(kept: Any, cotangent: Any) -> tuple[Any, ...]:
        return (*(flat(part) for part in kept()(fill(cotangent, heads[0]))), None)

    run.defvjp(forward, backward)
    return run


def _suits_splash(query: jax.Array, key: jax.Array, allowed: Any) -> bool:
    """Whether tokens look at themselves, and at most half of a row is filling."""
    among = allowed is None or isinstance(allowed, masks.Among)
    return among and query.shape[1] == key.shape[1] and query.shape[1] >= _TILE // 2


def _suits_cudnn(query: jax.Array, causal: bool, reach: tuple[int, int] | None) -> bool:
    size = query.shape[-1]
    return query.dtype in (jnp.bfloat16, jnp.float16) and size % 8 == 0 and size <= 128 and (causal or reach is None)
