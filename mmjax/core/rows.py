"""What a head said beside what was true: objectives average it, metrics gather it."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp

from mmjax.core import masks
from mmjax.core.errors import UserError
from mmjax.core.types import Batch, Factored, Outputs, Tokens

Array = Any


@flax.struct.dataclass
class Rows:
    """One head's answers.

    ======= ============================== ================= ==============
            scores                         targets           mask
    ======= ============================== ================= ==============
    class   logits ``b k``                 ``b``, int32      ``b``
    labels  logits ``b k``                 ``b k``, 0 or 1   ``b k``
    number  ``b`` or ``b k``               as scores         as scores
    text    Tokens of logits ``b n k``     ``b t``, int32    ``b t``
    ======= ============================== ================= ==============

    index: which example each row is (``b``), known once the rows of all batches are gathered.
    """

    scores: Array
    targets: Array
    mask: Array
    index: Array = None


def pair(
    outputs: Outputs,
    batch: Batch,
    *,
    target: str,
    head: str | None = None,
    stream: str = "",
    classes: bool = False,
    factored: bool = False,
) -> Rows:
    """The answers, in float32 at least, of ``head`` (None: the one named as the target) beside ``target``.

    Masked scores and targets are 0, so that a NaN or a label of -1 there reaches neither a value
    nor a gradient. stream: leave out the rows that lack this modality. classes: the target is one class a row, so
    the head has one axis more. factored: where the head gives factors, the scores are these, with the features of
    masked rows at 0.
    Raises UserError for an unknown name, ValueError for shapes that do not fit.
    """
    head = target if head is None else head
    _known(head, outputs.heads, "the model has no head")
    _known(target, batch.targets, "the data has no target")
    scores, signal = outputs.heads[head], batch.targets[target]
    if isinstance(scores, Factored) and not factored:
        raise ValueError(f"head {head!r} gives factors, not an array; target {target!r} needs an objective of its own")
    inner = scores.features if isinstance(scores, Factored) else scores
    fits = inner.shape[:-1] if classes else inner.shape
    if len(inner.shape) == 0 or not fits == signal.values.shape == signal.mask.shape:
        raise ValueError(
            f"head {head!r} of shape {inner.shape} does not fit target {target!r} of shape {signal.values.shape} "
            f"with mask {signal.mask.shape}: " + ("one score a class is wanted" if classes else "they must be equal")
        )
    mask = signal.mask.astype(bool)
    if stream:
        _known(stream, batch.inputs, "the data has no modality")
        here = masks.present(batch.inputs[stream].mask)
        mask = mask & here.reshape(here.shape + (1,) * (mask.ndim - 1))
    inner = jnp.where(mask[..., None] if classes else mask, inner, 0)
    scores = scores.replace(features=inner) if isinstance(scores, Factored) else _exact(inner)
    targets = jnp.where(mask, signal.values, 0)
    targets = targets.astype(jnp.int32) if classes else _exact(targets)
    return Rows(scores, targets, mask)


def spoken(outputs: Outputs, batch: Batch, *, target: str, head: str | None = None) -> Rows:
    """What ``head`` hears in each frame, in float32, beside the words of ``target``, which come first in their rows.

    Logits are 0 where frames are masked and in rows without any word, so that a NaN there reaches nothing. Raises
    UserError for an unknown name, ValueError where the head or the target is of another kind.
    """
    head = target if head is None else head
    _known(head, outputs.heads, "the model has no head")
    _known(target, batch.targets, "the data has no target")
    frames, signal = outputs.heads[head], batch.targets[target]
    if not isinstance(frames, Tokens):
        raise ValueError(f"head {head!r} gives no frames; heads.Transcribe does")
    if signal.values.ndim != 2 or len(signal.values) != len(frames.values):
        raise ValueError(
            f"target {target!r} of shape {signal.values.shape} is no text for each of {len(frames.values)} rows"
        )
    mask = signal.mask.astype(bool)
    real = frames.mask & masks.present(mask)[:, None]
    logits = masks.zeroed(frames.values, real).astype(jnp.float32)
    order = jnp.argsort(~mask, axis=1, stable=True)
    words = jnp.take_along_axis(jnp.where(mask, signal.values, 0), order, axis=1).astype(jnp.int32)
    return Rows(Tokens(logits, real), words, jnp.take_along_axis(mask, order, axis=1))


def alone(heads: Mapping[str, Any]) -> dict[str, Any]:
    """What heads for packed rows say where each row has one example: ``b s ...`` to ``b ...``."""
    return {
        name: answer.replace(features=answer.features[:, 0]) if isinstance(answer, Factored) else answer[:, 0]
        for name, answer in heads.items()
    }


def _exact(values: Array) -> Array:
    """In float32 at least."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def _known(name: str, names: Any, what: str) -> None:
    if name not in names:
        raise UserError(f"{what} {name!r}; it has {', '.join(sorted(names)) or 'none'}")
