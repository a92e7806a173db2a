"""Decision-level fusion: one answer a modality."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Tokens, masks
from mmjax.fusion import stream


class Experts(linen.Module):
    """One token a modality, whose values are that modality's logits: ``b m classes``, for ``heads.Vote`` to weigh
    (Kittler et al., 1998, https://doi.org/10.1109/34.667881).

    Masked mean, LayerNorm and a linear layer for each stream. There is a token, masked where it has to be, for every
    stream of initialisation, in the order of names, so that a vote knows whose each is. Train each expert by its own
    cross-entropy (``objectives.Experts``), or all by that of the vote.

    Raises UserError for packed rows.
    """

    classes: int
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens:
        stream.unpacked(streams, "fusion.Experts")
        known = sorted(streams) if self.is_initializing() else self._known()
        some = next(iter(streams.values()))
        answers, here = [], []
        for name in known:
            if name in streams:
                answers.append(self._answer(name, streams[name], train))
                here.append(masks.present(streams[name].mask))
            else:
                answers.append(jnp.zeros((len(some.mask), self.classes), jnp.dtype(self.dtype)))
                here.append(jnp.zeros(len(some.mask), bool))
        mask = jnp.stack(here, axis=1)
        return Tokens(masks.zeroed(jnp.stack(answers, axis=1), mask), mask)

    def _answer(self, name: str, tokens: Tokens, train: bool):
        dtype = jnp.dtype(self.dtype)
        pooled = nn.LayerNorm(dtype=dtype, name=f"norm_{name}")(nn.pool.mean(tokens.values, tokens.mask))
        pooled = linen.Dropout(self.dropout, deterministic=not train)(pooled)
        return linen.Dense(self.classes, dtype=dtype, name=f"project_{name}")(pooled)

    def _known(self) -> list[str]:
        """The streams of initialisation: those that have parameters."""
        return sorted(name.removeprefix("project_") for name in self.variables["params"] if name.startswith("project_"))
