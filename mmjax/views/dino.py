"""Views that are taught by what the averaged weights say of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError, masks
from mmjax.views.several import changed, repeated

GLOBAL = 2  # views that the teacher sees


@dataclass(frozen=True)
class Dino:
    """Two views of each row, and ``locals`` more of less of it, with what a teacher says of the two as their target.

    DINO (Caron et al., 2021, https://arxiv.org/abs/2104.14294): rows as those of ``views.Several``, the two first. by:
    changes that make these, by modality; local: those that make the others, as a ``Crop`` of less than half, which
    come out as large as the picture was. The teacher is the run's average (``Optim.average``, near 1), whose ``head``
    sees the two views; its logits, less their mean over the batch, over ``temperature``, become distributions. The mean
    is the paper's centre, without momentum. As they are centred, all rows alike is no way out, nor, as they are sharper
    than the student's, is each row of everything. even: so many rounds of Sinkhorn and Knopp take the centre's place (0
    for none), after which all prototypes are as likely over the batch, as DINOv2 has it (Oquab et al., 2023,
    https://arxiv.org/abs/2304.07193, after SwAV, https://arxiv.org/abs/2006.09882): surer in small batches.

    ``target`` of each row is the sum of what the teacher says of the row's other views: of the other of the two, and of
    both for local ones. ``objectives.Dino`` learns it.
    """

    by: Mapping[str, Sequence[Any]]
    local: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    locals: int = 0
    head: str = "teacher"
    target: str = "teacher"
    temperature: float = 0.04
    even: int = 0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or min(self.locals, self.even) < 0:
            raise UserError(
                f"views.Dino: temperature={self.temperature} must be above 0, locals={self.locals} and "
                f"even={self.even} 0 or more"
            )

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        large_key, small_key = jax.random.split(key)
        seen = changed(repeated(batch.inputs, GLOBAL), self.by, key=large_key)
        heads = said(seen).heads
        if self.head not in heads:
            raise UserError(f"views.Dino: the model has no head {self.head!r}; it has {', '.join(sorted(heads))}")
        here = jnp.stack([masks.present(signal.mask) for signal in seen.values()]).any(axis=0)
        taught = self._taught(heads[self.head], here)
        whole = repeated(batch, GLOBAL + self.locals)
        if self.locals:
            small = changed(repeated(batch.inputs, self.locals), self.local, key=small_key)
            seen = jax.tree.map(lambda *parts: jnp.concatenate(parts), seen, small)
            here = jnp.concatenate([here, jnp.concatenate([here[: len(here) // GLOBAL]] * self.locals)])
        target = Signal(taught, jnp.broadcast_to(here[:, None], taught.shape))
        return Batch(seen, {**whole.targets, self.target: target})

    def _taught(self, logits: Any, here: Any) -> Any:
        """The target of each row ``v b k`` from the teacher's logits ``2 b k``, masked rows left out of the mean."""
        logits = masks.zeroed(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), here)
        if self.even:
            likely = self._evened(logits / self.temperature, here)
        else:
            centre = jnp.sum(logits, axis=0) / jnp.maximum(jnp.sum(here), 1)
            likely = jax.nn.softmax((logits - centre) / self.temperature)
        first, second = jnp.split(likely, GLOBAL)
        return jnp.concatenate([second, first, *[first + second] * self.locals])

    def _evened(self, scores: Any, here: Any) -> Any:
        """Distributions ``2 b k`` of which all prototypes have an equal share over the rows that are there."""
        for _ in range(self.even):
            scores -= jax.nn.logsumexp(scores, axis=0, keepdims=True, where=here[:, None])
            scores = jax.nn.log_softmax(jnp.where(here[:, None], scores, 0))
        return jnp.exp(scores)
