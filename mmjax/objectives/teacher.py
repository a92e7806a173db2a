"""Learning from what the averaged weights said of other views: the targets are those that ``views`` have made."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, Tokens, UserError
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
class Data2vec:
    """The teacher's features of what is hidden, by a smooth L1 (data2vec, Baevski et al., 2022,
    https://arxiv.org/abs/2202.03555): half the square over ``beta`` within ``beta``, else less steep.

    The target is that of ``views.Data2vec``, tokens ``b n d`` of a modality with a mask of those that were hidden from
    the model; the mean is over these tokens and their numbers. head: one that gives as many tokens as wide, as
    ``heads.Project(d, stream=...)`` does; None means the head named as the target.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[bool] = True  # its target, by views

    target: str = "teacher"
    head: str | None = None
    beta: float = 2.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise UserError(f"beta must be above 0, not {self.beta}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        head = self.head or self.target
        said = outputs.heads.get(head)
        values = said.values if isinstance(said, Tokens) else said
        wide = Outputs({}, outputs.fused, {} if values is None else {head: values})
        target = batch.targets.get(self.target)
        if target is not None:  # a token that was hidden has a mask, each of whose numbers is to be said
            mask = jnp.broadcast_to(
                target.mask.reshape(*target.mask.shape, *[1] * (3 - target.mask.ndim)), target.values.shape
            )
            batch = batch.replace(targets={self.target: target.replace(mask=mask)})
        rows = pair(wide, batch, target=self.target, head=head)
        off = jnp.abs(rows.scores - rows.targets)
        return Mean.of(jnp.where(off <= self.beta, jnp.square(off) / (2 * self.beta), off - self.beta / 2), rows.mask)


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
