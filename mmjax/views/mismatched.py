"""Pairs that belong together, and pairs that only look like it."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError, masks, vectors
from mmjax.views.several import given


@dataclass(frozen=True)
class Mismatched:
    """Beside each row two more, where ``other`` belongs to ``one`` no longer: ``3 b`` rows.

    What they get instead is of another row of the batch, drawn by likeness: the probability of a row is the softmax of
    the products that the averaged weights give, as in ALBEF (Li et al., 2021, https://arxiv.org/abs/2107.07651), whose
    momentum encoder they are. Rows b to 2 b keep ``one`` with a drawn ``other``, rows 2 b to 3 b keep ``other`` with a
    drawn ``one``; further modalities are those of the row. The model must compare modalities (``fusion.Towers`` or what
    gives as much, with a head ``scale``).

    target: says 1 for the first b rows and 0 for the others, and is masked where a row lacks either modality or none
    could be drawn; ``objectives.Matching`` learns from it. All other targets are masked in the rows that were made, and
    ``objectives.Contrastive(where=...)`` leaves these out. Of three rows each is run through the whole model; ALBEF
    runs its encoders but once.
    """

    one: str = "image"
    other: str = "text"
    target: str = "match"
    scale: str = "scale"

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        for name in (self.one, self.other):
            given(batch.inputs, name)
        if self.target in batch.targets:
            raise UserError(f"views.Mismatched: the data has a target {self.target!r} already; give it another name")
        one, other, known = self._drawn(said(batch.inputs), key)
        inputs = {}
        for name, signal in batch.inputs.items():
            more = one if name == self.one else other if name == self.other else ()
            inputs[name] = _below(signal, more)
        both = masks.present(batch.inputs[self.one].mask) & masks.present(batch.inputs[self.other].mask)
        rows = len(both)
        targets = {name: _hidden(signal) for name, signal in batch.targets.items()}
        answers = jnp.concatenate([jnp.ones(rows, jnp.int32), jnp.zeros(2 * rows, jnp.int32)])
        targets[self.target] = Signal(answers, jnp.concatenate([both, known, known]))
        return Batch(inputs, targets)

    def _drawn(self, outputs: Any, key: jax.Array) -> tuple[Any, Any, Any]:
        """Which rows both modalities come from in the second and the third part, and where there was one to draw."""
        found = vectors.by_stream(outputs, (self.one, self.other))
        here = found[self.one].mask & found[self.other].mask
        products = jnp.matmul(found[self.one].values, found[self.other].values.T, precision="highest")
        logits = outputs.heads[self.scale][0, 0] * products.astype(jnp.float32)
        allowed = here[:, None] & here[None, :] & ~jnp.eye(len(here), dtype=bool)
        rows, known = jnp.arange(len(here)), jnp.any(allowed, axis=1)
        picks = []
        for table, own in zip((logits, logits.T), jax.random.split(key), strict=True):
            drawn = jax.random.categorical(own, jnp.where(allowed, table, -jnp.inf), axis=1)
            picks.append(jnp.where(known, drawn, rows))
        return (rows, picks[1]), (picks[0], rows), known


def _below(signal: Signal, more: Any) -> Signal:
    """The rows, and below them two times as many, taken from those places (nothing: as they are)."""
    parts = [jax.tree.map(lambda leaf, at=at: leaf[at], signal) for at in more] or [signal, signal]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), signal, *parts)


def _hidden(signal: Signal) -> Signal:
    """The answers of the first third; the others have none."""
    whole = _below(signal, ())
    rows = jnp.arange(len(whole.mask)) < len(signal.mask)
    return whole.replace(mask=whole.mask & rows.reshape(-1, *(1,) * (whole.mask.ndim - 1)))
