"""Whole modalities: hiding them, choosing among them. Absence is only a mask."""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from mmjax.core import masks
from mmjax.core.types import Signal


def subset(inputs: Mapping[str, Signal], names: Iterable[str]) -> dict[str, Signal]:
    """``inputs`` with every modality outside ``names`` masked away."""
    kept = set(names)
    return {
        name: signal if name in kept else signal.replace(mask=jnp.zeros_like(signal.mask))
        for name, signal in inputs.items()
    }


def dropout(inputs: Mapping[str, Signal], *, rate: float, key: jax.Array) -> dict[str, Signal]:
    """Hide each modality of each row with probability ``rate``, never the last one that a row has.

    After ModDrop (Neverova et al., 2015, https://arxiv.org/abs/1501.00102). The row's spared
    modality is drawn uniformly from those that it has.
    """
    names = sorted(inputs)
    if rate <= 0 or len(names) < 2:
        return dict(inputs)
    has = jnp.stack([masks.present(inputs[name].mask) for name in names], axis=1)  # b m
    drop_key, spare_key = jax.random.split(key)
    keep = jax.random.bernoulli(drop_key, 1 - rate, has.shape)
    draw = jnp.where(has, jax.random.uniform(spare_key, has.shape), -1.0)
    spared = jax.nn.one_hot(jnp.argmax(draw, axis=1), len(names), dtype=bool)
    nothing_left = ~jnp.any(keep & has, axis=1, keepdims=True)
    keep = keep | (nothing_left & spared)
    return {name: _hide(inputs[name], keep[:, i]) for i, name in enumerate(names)}


def _hide(signal: Signal, keep: jax.Array) -> Signal:
    return signal.replace(mask=signal.mask & keep.reshape((-1,) + (1,) * (signal.mask.ndim - 1)))
