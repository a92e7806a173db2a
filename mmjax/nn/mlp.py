"""What a transformer does at each place alone."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax.core import UserError
from mmjax.nn import start
from mmjax.nn.activation import gelu

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "quick_gelu": lambda values: values * jax.nn.sigmoid(1.702 * values),
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
}


class Mlp(linen.Module):
    """Up by ``ratio``, an activation (exact GELU), down again; position by position.

    ``gated``: the activation of one product times another, as in SwiGLU, which is ``activation="silu"`` (Shazeer, 2020,
    https://arxiv.org/abs/2002.05202). ``stddev`` and ``shrink`` (of what comes down) are those of ``nn.start``. Raises
    UserError for an activation that there is not.
    """

    ratio: float = 4.0
    dropout: float = 0.0
    activation: str = "gelu"
    gated: bool = False
    bias: bool = True
    stddev: float = 0.0
    shrink: float = 1.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "*b d"], *, train: bool) -> Float[Array, "*b d"]:
        if self.activation not in ACTIVATIONS:
            raise UserError(f"activation is {self.activation!r}; it can be {', '.join(ACTIVATIONS)}")
        width = values.shape[-1]

        def dense(name: str, features: int, shrink: float = 1.0) -> linen.Dense:
            init = start.kernel(self.stddev, shrink)
            return linen.Dense(features, self.bias, dtype=jnp.dtype(self.dtype), kernel_init=init, name=name)

        hidden = dense("up", round(width * self.ratio))(values)
        act = ACTIVATIONS[self.activation]
        hidden = act(dense("gate", hidden.shape[-1])(values)) * hidden if self.gated else act(hidden)
        hidden = linen.Dropout(self.dropout, deterministic=not train)(hidden)
        return dense("down", width, self.shrink)(hidden)
