"""Rows that lie between two others, and answers that do so too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError
from mmjax.views.several import given

Array = Any


@dataclass(frozen=True)
class Mixup:
    """Each row is drawn towards another of its batch: ``x = l x + (1 - l) x'``, and so is what is asked of it.

    Mixup (Zhang et al., 2017, https://arxiv.org/abs/1710.09412): l is of Beta(alpha, alpha), drawn for each row, and
    the larger of l and 1 - l, so that a row stays nearest to itself. inputs: the modalities that are mixed, None for
    all of them; others stay as they are. A class becomes its shares, ``b k`` for the k scores of the head of that name,
    which ``objectives.CrossEntropy`` and ``Experts`` learn; a number is mixed. A row stays as it is where the other is
    not there in the same places: a modality or an answer less, another length.

    Raises UserError for words, which nothing lies between, for packed rows and for a target that is no class or number.
    """

    crosses: ClassVar[bool] = True  # what a row becomes is of other rows, too

    alpha: float = 0.2
    inputs: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise UserError(f"views.Mixup: alpha={self.alpha} must be above 0")

    def only(self, names: Sequence[str]) -> "Mixup":
        """The same where there are no other modalities than these."""
        return (
            self if self.inputs is None else replace(self, inputs=tuple(name for name in self.inputs if name in names))
        )

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        names = sorted(batch.inputs) if self.inputs is None else self.inputs
        chosen = {name: given(batch.inputs, name) for name in names}
        if not chosen:
            return batch
        answers = {name: _answer(name, signal, said, batch) for name, signal in batch.targets.items()}
        draw_key, other_key = jax.random.split(key)
        rows = len(next(iter(chosen.values())).mask)
        other = jax.random.permutation(other_key, rows)
        share = jax.random.beta(draw_key, self.alpha, self.alpha, (rows,))
        alike = [_alike(signal, other) for signal in (*chosen.values(), *answers.values())]
        share = jnp.where(jnp.all(jnp.stack(alike), axis=0), jnp.maximum(share, 1 - share), 1.0)
        inputs = dict(batch.inputs) | {name: _mixed(name, signal, share, other) for name, signal in chosen.items()}
        return Batch(inputs, {name: _mixed(name, signal, share, other) for name, signal in answers.items()})


def _answer(name: str, signal: Signal, said: Any, batch: Batch) -> Signal:
    """A class as its shares, with a mask for each; a number as it is."""
    values, mask = jnp.asarray(signal.values), jnp.asarray(signal.mask, bool)
    if jnp.issubdtype(values.dtype, jnp.floating):
        return Signal(values, mask)
    heads: Mapping[str, Any] = said(batch.inputs).heads
    if values.ndim != 1 or name not in heads or getattr(heads[name], "ndim", 0) != 2:
        raise UserError(f"views.Mixup: target {name!r} is neither a number nor a class that a head of its name tells")
    classes = heads[name].shape[-1]
    known = (values >= 0) & (values < classes) | ~mask
    shares = jnp.where(known[:, None], jax.nn.one_hot(values, classes), jnp.nan)  # an unknown label stops the run
    return Signal(shares, jnp.broadcast_to(mask[:, None], shares.shape))


def _alike(signal: Signal, other: Array) -> Array:
    """Which rows are there in the same places as their others."""
    mask = jnp.asarray(signal.mask, bool).reshape(len(signal.mask), -1)
    return jnp.all(mask == mask[other], axis=1)


def _mixed(name: str, signal: Signal, share: Array, other: Array) -> Signal:
    values = jnp.asarray(signal.values)
    whole = values.dtype == jnp.uint8
    if not whole and not jnp.issubdtype(values.dtype, jnp.floating):
        raise UserError(f"views.Mixup: nothing lies between the words or numbers of {name!r}; name others in inputs")
    own = share.reshape((-1,) + (1,) * (values.ndim - 1))
    # Where a row stays as it is, its other may be NaN: it is chosen away before it is multiplied.
    beside = jnp.where(own < 1, values[other], values)
    found = own * values + (1 - own) * beside
    return signal.replace(values=(jnp.round(found) if whole else found).astype(values.dtype))
