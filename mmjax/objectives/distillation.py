"""Learning from what another head says."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs, UserError, masks


@dataclass(frozen=True)
class Distillation:
    """A head's logits ``b k`` after those of a ``teacher``, which learns nothing from it (Hinton et al., 2015,
    https://arxiv.org/abs/1503.02531): as a head of one stream alone after one that reads all.

    The Kullback-Leibler divergence of both at ``temperature``, times its square, over the rows that have any modality,
    with a ``stream`` over those that have this one. No target: rows without an answer teach, too.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    head: str
    teacher: str
    stream: str = ""
    temperature: float = 2.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise UserError(f"temperature must be above 0, not {self.temperature}")

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        for name in (self.head, self.teacher):
            if name not in outputs.heads:
                raise UserError(f"the model has no head {name!r}; it has {', '.join(sorted(outputs.heads)) or 'none'}")
        if self.stream and self.stream not in batch.inputs:
            raise UserError(f"the data has no modality {self.stream!r}; it has {', '.join(sorted(batch.inputs))}")
        said, taught = outputs.heads[self.head], jax.lax.stop_gradient(outputs.heads[self.teacher])
        if said.ndim != 2 or said.shape != taught.shape:
            raise UserError(f"head {self.head!r} of {said.shape} cannot learn from {self.teacher!r} of {taught.shape}")
        present = {name: masks.present(signal.mask) for name, signal in batch.inputs.items()}
        here = present[self.stream] if self.stream else jnp.stack(list(present.values())).any(axis=0)
        said, taught = (
            jax.nn.log_softmax(
                jnp.where(here[:, None], x, 0).astype(jnp.promote_types(x.dtype, jnp.float32)) / self.temperature
            )
            for x in (said, taught)
        )
        losses = self.temperature**2 * jnp.sum(jnp.exp(taught) * (taught - said), axis=-1)
        return Mean.of(losses, here)
