"""One answer out of one a modality."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax.core import Tokens, UserError, masks

RULES = ("mean", "weights", "product", "stacking")


class Vote(linen.Module):
    """Logits ``b classes`` in float32 out of the experts' ``b m classes`` (``fusion.Experts``).

    rule:

    * ``mean``: of the logits of those present.
    * ``weights``: their mean with learned weights, a softmax over those present of ``weight`` (m).
    * ``product``: of experts that are independent given the class (Hinton, 2002,
      https://doi.org/10.1162/089976602760128018): the sum of their log-probabilities less (present - 1) times that of
      the class itself, renormalised. ``log_temperature`` (m) calibrates each expert, ``log_prior`` (classes, up to a
      constant) is the class prior; both start at 0. A row with nothing gets the prior.
    * ``stacking``: a linear layer over all logits (Wolpert, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1), which
      starts as their sum: ``kernel`` (m, classes, classes) and ``bias`` (classes).

    ``apart``: the vote learns, but the experts learn nothing from it.

    Raises UserError for another rule, for tokens that are no logits of ``classes``, and for packed rows.
    """

    classes: int
    rule: str = "mean"
    apart: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Float[Array, "b k"]:
        if self.rule not in RULES:
            raise UserError(f"rule={self.rule!r} is no way to vote; there are {', '.join(RULES)}")
        masks.unpacked(tokens, of="heads.Vote")
        if tokens.values.shape[-1] != self.classes:
            raise UserError(
                f"heads.Vote(classes={self.classes}) takes one token of logits a modality, as "
                f"fusion.Experts(classes={self.classes}) gives; there are tokens {tokens.values.shape[-1]} wide"
            )
        logits = masks.zeroed(tokens.values, tokens.mask).astype(jnp.float32)
        logits = jax.lax.stop_gradient(logits) if self.apart else logits
        if self.rule == "mean":
            return jnp.sum(_shares(jnp.zeros(tokens.mask.shape[1]), tokens.mask) * logits, axis=1)
        if self.rule == "weights":
            weight = self.param("weight", linen.initializers.zeros, tokens.mask.shape[1:])
            return jnp.sum(_shares(weight, tokens.mask) * logits, axis=1)
        return self._product(logits, tokens.mask) if self.rule == "product" else self._stacking(logits)

    def _product(self, logits: Float[Array, "b m k"], mask: Bool[Array, "b m"]) -> Float[Array, "b k"]:
        log_temperature = self.param("log_temperature", linen.initializers.zeros, mask.shape[1:])
        prior = jax.nn.log_softmax(self.param("log_prior", linen.initializers.zeros, (self.classes,)))
        each = jax.nn.log_softmax(logits * jnp.exp(-log_temperature)[:, None])
        counted_once = (jnp.sum(mask, axis=1, keepdims=True) - 1) * prior
        return jax.nn.log_softmax(jnp.sum(masks.zeroed(each, mask), axis=1) - counted_once)

    def _stacking(self, logits: Float[Array, "b m k"]) -> Float[Array, "b k"]:
        def alike(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
            return jnp.broadcast_to(jnp.eye(shape[-1], dtype=dtype), shape)

        kernel = self.param("kernel", alike, (logits.shape[1], self.classes, self.classes))
        bias = self.param("bias", linen.initializers.zeros, (self.classes,))
        return jnp.einsum("bmk,mkl->bl", logits, kernel) + bias


def _shares(scores: Float[Array, " m"], mask: Bool[Array, "b m"]) -> Float[Array, "b m 1"]:
    """A softmax over those present; 0 for the others."""
    lowest = jnp.finfo(jnp.float32).min
    return (jax.nn.softmax(jnp.where(mask, scores, lowest), axis=1) * mask)[..., None]
