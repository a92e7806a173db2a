"""Telling pairs from what only looks like pairs."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, UserError
from mmjax.core.rows import pair


@dataclass(frozen=True)
class Matching:
    """Do both belong together? Logits ``b 2``, no and yes (ALBEF, Li et al., 2021, https://arxiv.org/abs/2107.07651).

    The target is that of ``views.Mismatched``: 1 or 0, masked where it is not known. The mean of the cross-entropy over
    all rows that have it. head: None means the head named as the target.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[bool] = True  # its target, by views

    target: str = "match"
    head: str | None = None
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head, classes=True)
        if rows.scores.shape[-1] != 2:
            raise UserError(f"head {self.head or self.target!r} says one of {rows.scores.shape[-1]}; 2 are wanted")
        logs = jax.nn.log_softmax(rows.scores)
        return Mean.of(-jnp.take_along_axis(logs, rows.targets[..., None], axis=-1)[..., 0], rows.mask)
