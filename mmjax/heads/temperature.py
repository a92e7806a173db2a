"""How sharply likeness is read."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax.core import Tokens


class Temperature(linen.Module):
    """What a product of two unit vectors is multiplied by, and what is added: ``b 2``, the same in every row.

    ``log_scale`` is learned and begins at log ``start``. The scale is never above ``largest``: there its logarithm
    learns only to become smaller, which is what CLIP's clamp after each step comes to. ``bias``: where it begins, and
    that it is learned; None for 0. CLIP's are the defaults, SigLIP's (Zhai et al., 2023,
    https://arxiv.org/abs/2303.15343) ``start=10, largest=1e4, bias=-10``.
    """

    start: float = 1 / 0.07
    largest: float = 100.0
    bias: float | None = None

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b 2"]:
        log_scale = self.param("log_scale", linen.initializers.constant(math.log(self.start)), ())
        scale = jnp.exp(_held(log_scale, math.log(self.largest)))
        added = jnp.zeros(())
        if self.bias is not None:
            added = self.param("added", linen.initializers.constant(self.bias), ())
        return jnp.broadcast_to(jnp.stack([scale, added]), (len(tokens.mask), 2))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _held(value: Float[Array, ""], largest: float) -> Float[Array, ""]:
    return jnp.minimum(value, largest)


def _forward(value: Float[Array, ""], largest: float) -> tuple[Float[Array, ""], Array]:
    return jnp.minimum(value, largest), value <= largest


def _backward(largest: float, within: Array, given: Float[Array, ""]) -> tuple[Float[Array, ""]]:
    return (jnp.where(within | (given > 0), given, 0),)  # a descent makes smaller what has a positive gradient


_held.defvjp(_forward, _backward)
