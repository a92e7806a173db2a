"""Any front end with any trunk."""

import jax.numpy as jnp
from flax import linen

from mmjax.core import Signal, Tokens, masks


class Chain(linen.Module):
    """The tokens of encoder ``front`` through ``trunk``, any part from tokens to tokens.

    A front end is an encoder of ``depth`` 0, or a whole one; a trunk is nn.Trunk, nn.Recurrent and the like. ``width``
    projects the front end's tokens to that width on their way; 0 leaves them as they are.
    """

    front: linen.Module
    trunk: linen.Module
    width: int = 0
    dtype: str = "float32"

    def tokens(self, *sizes: int) -> int:
        """How many tokens a signal of these sizes gives: what the front end makes of it, and the trunk of that."""
        count = self.front.tokens(*sizes)  # pyright: ignore[reportAttributeAccessIssue]
        return getattr(self.trunk, "tokens", lambda count: count)(count)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        tokens = self.front(signal, train=train)
        if self.width:
            values = linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="project")(tokens.values)
            tokens = tokens.replace(values=masks.zeroed(values, tokens.mask))
        return self.trunk(tokens, train=train)
