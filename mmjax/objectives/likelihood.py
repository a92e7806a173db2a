"""How likely a model holds each word of what was said: the stuff of preferences and of learning from rewards."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.core import Batch, Factored, Outputs, UserError
from mmjax.core.rows import Rows, pair
from mmjax.objectives import chunked


def logs(outputs: Outputs, batch: Batch, *, target: str = "next", head: str | None = None, pieces: int = 32) -> Rows:
    """``scores``: the log-probability of each word of ``target``, ``b t`` in float32 or better; 0 where masked.

    Where the head gives factors of its logits, these are made in at most ``pieces`` pieces, one at a time. A word
    outside the vocabulary gives NaN.
    """
    rows = pair(outputs, batch, target=target, head=head, classes=True, factored=True)
    scores = rows.scores
    if isinstance(scores, Factored):
        found = -chunked.losses(scores, rows.targets, most=pieces)
    else:
        known = (rows.targets >= 0) & (rows.targets < scores.shape[-1])
        at = jnp.where(known, rows.targets, 0)[..., None]
        found = jnp.take_along_axis(jax.nn.log_softmax(scores), at, axis=-1)[..., 0]
        found = jnp.where(known, found, jnp.nan)
    return rows.replace(scores=jnp.where(rows.mask, found, 0))  # pyright: ignore[reportAttributeAccessIssue]


def beside(batch: Batch, name: str, mask: Bool[Array, "b t"], where: str) -> Float[Array, "b t"]:
    """What the batch says of each word by the target ``name``, 0 where masked. ``where``: who asks."""
    if name not in batch.targets:
        raise UserError(f"{where} wants target {name!r}, as a rollout gives; there are {', '.join(batch.targets)}")
    values: Any = batch.targets[name].values
    if values.shape != mask.shape:
        raise ValueError(f"target {name!r} of shape {values.shape} does not go with words of shape {mask.shape}")
    return jnp.where(mask, values, 0)
