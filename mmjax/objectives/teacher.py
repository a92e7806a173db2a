"""Learning from what the averaged weights said of other views: the targets are those that ``views`` have made."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, UserError
from mmjax.core.rows import pair


@dataclass(frozen=True)
class Dino:
    """Self-distillation without labels (DINO, Caron et al., 2021, https://arxiv.org/abs/2104.14294): cross-entropy of a
    head's logits ``b k``, over ``temperature``, with what the teacher said of the row's other views.

    The target is that of ``views.Dino``, ``b k``: for each row the sum of as many distributions as the teacher saw
    other views. The mean is over these pairs of views. head: None means the head named as the target, a
    ``heads.Prototypes``.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[bool] = True  # its target, by views

    target: str = "teacher"
    head: str | None = None
    temperature: float = 0.1
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise UserError(f"temperature must be above 0, not {self.temperature}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head)
        scores = jnp.asarray(rows.scores, jnp.promote_types(rows.scores.dtype, jnp.float32))
        logs = jax.nn.log_softmax(scores / self.temperature)
        return Mean.of(-rows.targets * logs, rows.mask).replace(count=jnp.sum(rows.targets))


@dataclass(frozen=True)
class PseudoLabel:
    """Cross-entropy with what the weights were sure of (FixMatch, Sohn et al., 2020, https://arxiv.org/abs/2001.07685).

    The target is that of ``views.FixMatch``: a class ``b``, or -1 where none was likely enough, in the rows of strong
    views without a label. Rows of -1 add nothing, but count: the mean is over all rows that were asked about, so that
    the loss grows as more of them are sure. head: None means the head named as the target, logits ``b k``.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[bool] = True  # its target, by views

    target: str = "pseudo"
    head: str | None = None
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head, classes=True)
        logs = jax.nn.log_softmax(rows.scores)
        losses = -jnp.take_along_axis(logs, jnp.maximum(rows.targets, 0)[:, None], axis=1)[:, 0]
        sure = rows.mask & (rows.targets >= 0)
        return Mean.of(losses, sure).replace(count=jnp.sum(rows.mask, dtype=jnp.float32))
