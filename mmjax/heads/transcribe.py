"""What is said in each frame."""

import jax
import jax.numpy as jnp
from flax import linen

from mmjax.core import Tokens, masks


class Transcribe(linen.Module):
    """For every token, as frames of a recording, logits in float32 of ``vocabulary`` words, of which word 0 is none.

    Gives ``Tokens`` of logits ``b n k``, 0 where masked: which frames are real goes with them. ``objectives.CTC``
    learns from them without knowing when each word was said. Reads what is fused, or one ``stream`` alone; ``apart``:
    what it reads learns nothing from it. Raises UserError for packed rows.
    """

    vocabulary: int
    dropout: float = 0.0
    stream: str = ""
    apart: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        masks.unpacked(tokens, of="heads.Transcribe")
        values = jax.lax.stop_gradient(tokens.values) if self.apart else tokens.values
        values = masks.zeroed(values, tokens.mask).astype(jnp.float32)
        values = linen.Dropout(self.dropout, deterministic=not train)(values)
        logits = linen.Dense(self.vocabulary, name="project")(values)
        return Tokens(masks.zeroed(logits, tokens.mask), tokens.mask)
