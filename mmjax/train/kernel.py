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
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mmjax.core import UserError, masks
from mmjax.train.sharding import ROWS, AnyMesh, rows

PLATFORMS = {"plain": "", "cudnn": "gpu", "splash": "tpu"}
_TILE = 128
_MADE = "splash"  # what the kernel gave


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
    was, and what the kernel made: filled up, and with a head's features last, a TPU would hold twice as much.
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

    def local(query: Any, key: Any, value: Any, numbers: Any) -> Any:
        shape, shared = query.shape, key.shape[2]
        kernel = room.make_splash_mha(
            room.MultiHeadMask([mask] * shape[2]),
            block_sizes=sizes,
            head_shards=1,
            q_seq_shards=1,
            interpret=interpret,
            residual_checkpoint_name=_MADE,
        )

        @functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.save_only_these_names(_MADE))
        def mixed(query: Any, key: Any, value: Any) -> Any:
            query = filling(query * shape[3] ** -0.5, shape[2])
            segments = room.SegmentIds(*[jnp.pad(numbers, ((0, 0), (0, filled)))] * 2)
            out: Any = jax.vmap(kernel)(query, filling(key, shared), filling(value, shared), segments)
            return jnp.swapaxes(out[:, :, :length], 1, 2).astype(query.dtype)

        return mixed(*(part.reshape(*part.shape[:2], -1) for part in (query, key, value)))

    return local


def _suits_splash(query: jax.Array, key: jax.Array, allowed: Any) -> bool:
    """Whether tokens look at themselves, and at most half of a row is filling."""
    among = allowed is None or isinstance(allowed, masks.Among)
    return among and query.shape[1] == key.shape[1] and query.shape[1] >= _TILE // 2


def _suits_cudnn(query: jax.Array, causal: bool, reach: tuple[int, int] | None) -> bool:
    size = query.shape[-1]
    return query.dtype in (jnp.bfloat16, jnp.float16) and size % 8 == 0 and size <= 128 and (causal or reach is None)
