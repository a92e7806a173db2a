"""Vectors of two sides, gathered from batches: what retrieval and probes are made of."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from mmjax.core import Batch, Outputs, UserError, masks, vectors
from mmjax.core.rows import Rows


def stacked(outputs: Outputs, batch: Batch, *, sides: Sequence[str], target: str | None) -> Rows:
    """Of each row the vectors of ``sides`` of ``fusion.Towers``: scores ``b s d``, mask ``b s``, targets ``b``.

    Where a target is named, rows without an answer are masked.
    """
    found = vectors.by_stream(outputs, sides)
    values = jnp.stack([found[name].values for name in sides], axis=1).astype(jnp.float32)
    mask = jnp.stack([found[name].mask for name in sides], axis=1)
    return _answered(values, mask, batch, target)


def pooled(outputs: Outputs, batch: Batch, *, stream: str, target: str | None) -> Rows:
    """Of each row the mean of one modality's tokens, of what is fused where ``stream`` is "": scores ``b 1 d``, mask
    ``b 1``, targets ``b``."""
    if stream and stream not in outputs.streams:
        raise UserError(f"the model has no modality {stream!r}; it has {', '.join(sorted(outputs.streams))}")
    tokens = outputs.streams[stream] if stream else outputs.fused
    values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.float32)
    count = jnp.maximum(jnp.sum(tokens.mask, axis=1), 1)
    values = jnp.sum(values, axis=1) / count[:, None]
    return _answered(values[:, None], masks.present(tokens.mask)[:, None], batch, target)


def unit(values: Shaped[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n d"]:
    """Of length 1, in float64; 0 stays 0."""
    values = values.astype(np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


def _answered(values: Any, mask: Any, batch: Batch, target: str | None) -> Rows:
    targets = jnp.zeros(len(values), jnp.int32)
    if target is not None:
        if target not in batch.targets:
            raise UserError(f"the data has no target {target!r}; it has {', '.join(sorted(batch.targets)) or 'none'}")
        signal = batch.targets[target]
        mask = mask & signal.mask.astype(bool)[:, None]
        targets = jnp.where(signal.mask, signal.values, 0).astype(jnp.int32)
    return Rows(values, targets, mask)
