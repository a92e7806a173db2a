"""Rows without a label, that get one where the weights are sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError, masks
from mmjax.views.several import changed, repeated


@dataclass(frozen=True)
class FixMatch:
    """A weak and a strong view of each row; what is said of the weak one is the target of the strong one, where sure.

    FixMatch (Sohn et al., 2020, https://arxiv.org/abs/2001.07685): weak and strong are changes by modality. Rows are
    those of ``views.Several``, the weak ones first, which alone keep their targets. Of the strong ones, ``pseudo`` is
    the class that is likeliest by ``head`` (empty: the one named as the ``target``) of the weak view, where its
    probability is ``threshold`` or more, else -1; it is masked where the row has a ``target`` to learn from.
    ``objectives.PseudoLabel`` learns it. Who says it is the run's average where it keeps one (``Optim.average``), else
    the weights as they are, as in the paper.
    """

    weak: Mapping[str, Sequence[Any]]
    strong: Mapping[str, Sequence[Any]]
    target: str = "label"
    head: str = ""
    pseudo: str = "pseudo"
    threshold: float = 0.95

    def only(self, names: Sequence[str]) -> "FixMatch":
        """The same where there are no other modalities than these."""
        weak, strong = ({n: steps for n, steps in by.items() if n in names} for by in (self.weak, self.strong))
        return replace(self, weak=weak, strong=strong)

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        if self.target not in batch.targets:
            raise UserError(f"views.FixMatch: there is no target {self.target!r}; there are {', '.join(batch.targets)}")
        weak_key, strong_key = jax.random.split(key)
        weak, strong = (
            changed(batch.inputs, by, key=own) for by, own in ((self.weak, weak_key), (self.strong, strong_key))
        )
        heads, head = said(weak).heads, self.head or self.target
        if head not in heads:
            raise UserError(f"views.FixMatch: the model has no head {head!r}; it has {', '.join(sorted(heads))}")
        chances = jax.nn.softmax(heads[head].astype(jnp.float32))
        guess = jnp.where(jnp.max(chances, axis=1) >= self.threshold, jnp.argmax(chances, axis=1), -1)
        here = jnp.stack([masks.present(signal.mask) for signal in weak.values()]).any(axis=0)
        asked = here & ~jnp.asarray(batch.targets[self.target].mask, bool)
        pseudo = Signal(_below(jnp.full_like(guess, -1), guess).astype(jnp.int32), _below(jnp.zeros_like(asked), asked))
        targets = {
            name: signal.replace(mask=_below(jnp.asarray(given.mask), jnp.zeros_like(given.mask)))
            for (name, given), signal in zip(batch.targets.items(), repeated(batch.targets, 2).values(), strict=True)
        }
        return Batch(jax.tree.map(_below, weak, strong), {**targets, self.pseudo: pseudo})


def _below(first: Any, second: Any) -> Any:
    return jnp.concatenate([first, second])
