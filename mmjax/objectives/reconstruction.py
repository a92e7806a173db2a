"""Learning what was hidden from what was not."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from mmjax.core import Batch, Mean, Outputs
from mmjax.core.rows import pair


@dataclass(frozen=True)
class Reconstruction:
    """The squared error of a masked autoencoder (MAE, He et al., 2021, https://arxiv.org/abs/2111.06377), over hidden
    patches alone: a ``heads.Reconstruct`` and the target of ``views.Hide``, both ``b n p``.

    normed: each patch is first brought to mean 0 and (unbiased) variance 1, as the paper found better. The target is
    made of the modality of this name; head: None means the head named so.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[bool] = True  # its target, by views

    target: str
    head: str | None = None
    normed: bool = True
    weight: float = 1.0

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        rows = pair(outputs, batch, target=self.target, head=self.head)
        targets = rows.targets
        if self.normed:
            apart = targets - jnp.mean(targets, axis=-1, keepdims=True)
            spread = jnp.sum(jnp.square(apart), axis=-1, keepdims=True) / max(targets.shape[-1] - 1, 1)
            targets = apart / jnp.sqrt(spread + 1e-6)
        return Mean.of(jnp.square(rows.scores - targets), rows.mask)
