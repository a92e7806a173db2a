"""A mixture of experts in place of an MLP: much room for knowledge, little work a token."""

import math

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import LOSSES, UserError, masks


class Mixture(linen.Module):
    """Each token goes through ``chosen`` of ``experts`` MLPs, weighed by a router (Shazeer et al., 2017,
    https://arxiv.org/abs/1701.06538; Fedus et al., 2021, https://arxiv.org/abs/2101.03961).

    An expert takes at most ``capacity`` times its even share of a row's tokens, early tokens before late, so that none
    hangs on those after it; those beyond pass by unchanged, as 0. Padding counts in the length of a row. A ``capacity``
    of 0 is room for all. Shares of several chosen add up to 1; a single one is weighed by its probability, so that the
    router learns. ``balance`` times the loss of Fedus et al., which is 1 where all experts are asked equally often,
    goes to collection ``losses``. The router is in float32. Kernels are stacked by expert under ``experts``
    (``e d h``), so that a sharding rule can lay experts apart; the places ``gathered``, ``dispatched``, ``returned``
    and ``collected`` are where tokens travel then.

    Raises UserError where so many cannot be chosen.
    """

    experts: int
    chosen: int = 2
    capacity: float = 1.25
    balance: float = 0.01
    ratio: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self, values: Float[Array, "b n d"], mask: Bool[Array, "b n"] | None = None, *, train: bool
    ) -> Float[Array, "b n d"]:
        """Tokens masked away ask no expert and get 0."""
        if not 1 <= self.chosen <= self.experts:
            raise UserError(f"chosen={self.chosen} of experts={self.experts}: choose from 1 to all of them")
        b, n, d = values.shape
        mask = jnp.ones((b, n), bool) if mask is None else mask
        logits = linen.Dense(self.experts, use_bias=False, dtype=jnp.float32, name="router")(values.astype(jnp.float32))
        shares = jax.nn.softmax(logits)
        weights, chosen = jax.lax.top_k(shares, self.chosen)
        if self.chosen > 1:
            weights /= jnp.sum(weights, axis=-1, keepdims=True)
        self._wish(shares, chosen, mask)
        room = math.ceil(self.capacity * self.chosen * n / self.experts) if self.capacity else n
        slots = _slots(chosen, mask, experts=self.experts, room=min(room, n))
        held = _gathered(values, slots, self.experts * min(room, n)).reshape(b, self.experts, -1, d)
        held = Place(name="dispatched")(Place(name="gathered")(held))
        made = Experts(self.experts, self.ratio, dropout=self.dropout, dtype=self.dtype, name="experts")(
            held, train=train
        )
        made = Place(name="collected")(Place(name="returned")(made)).reshape(b, -1, d)
        each = jnp.take_along_axis(made, jnp.maximum(slots, 0).reshape(b, -1, 1), axis=1).reshape(*slots.shape, d)
        each = masks.zeroed(each, slots >= 0)
        return jnp.sum(each * weights.astype(each.dtype)[..., None], axis=2)

    def _wish(self, shares: Float[Array, "b n e"], chosen: Int[Array, "b n k"], mask: Bool[Array, "b n"]) -> None:
        """How far the router is from asking all experts equally often, of real tokens."""
        count = jnp.maximum(jnp.sum(mask), 1)
        asked = jax.nn.one_hot(chosen, self.experts).sum(axis=2) / self.chosen
        often, likely = (jnp.sum(masks.zeroed(x, mask), axis=(0, 1)) / count for x in (asked, shares))
        loss = self.balance * self.experts * jnp.sum(often * likely)
        if not self.is_initializing():  # those of a step are its own
            self.sow(LOSSES, "balance", loss, reduce_fn=jnp.add, init_fn=lambda: jnp.zeros(()))


class Experts(linen.Module):
    """Up by ``ratio``, exact GELU, down again, each expert with kernels of its own."""

    experts: int
    ratio: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "b e c d"], *, train: bool) -> Float[Array, "b e c d"]:
        width = values.shape[-1]
        hidden = Apart(round(width * self.ratio), dtype=self.dtype, name="up")(values)
        hidden = linen.Dropout(self.dropout, deterministic=not train)(linen.gelu(hidden, approximate=False))
        return Apart(width, dtype=self.dtype, name="down")(hidden)


class Apart(linen.Module):
    """A dense layer for each expert."""

    features: int
    dtype: str = "float32"

    @linen.compact
    def __call__(self, values: Float[Array, "b e c d"]) -> Float[Array, "b e c h"]:
        experts, width = values.shape[1], values.shape[-1]
        start = linen.initializers.lecun_normal(batch_axis=(0,))
        kernel = self.param("kernel", start, (experts, width, self.features))
        bias = self.param("bias", linen.initializers.zeros, (experts, self.features))
        values, kernel, bias = (x.astype(jnp.dtype(self.dtype)) for x in (values, kernel, bias))
        return self.product(values, kernel) + bias[None, :, None]

    def product(self, values: Float[Array, "b e c d"], kernel: Float[Array, "e d h"]) -> Float[Array, "b e c h"]:
        """Each expert's values by its kernel. Where they are rounded to eight bits, training puts its own way here."""
        return jnp.einsum("becd,edh->bech", values, kernel)


class Place(linen.Module):
    """Changes nothing; a mesh's rules know the place by its name."""

    @linen.compact
    def __call__(self, values: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        return values


def _slots(chosen: Int[Array, "b n k"], mask: Bool[Array, "b n"], *, experts: int, room: int) -> Int[Array, "b n k"]:
    """Which of the ``experts * room`` slots of its row each choice gets; -1 for none."""
    b, n, k = chosen.shape
    wanted = jax.nn.one_hot(chosen, experts, dtype=jnp.int32) * mask[:, :, None, None]
    queue = wanted.reshape(b, n * k, experts)  # token by token: what comes later takes nobody's place
    before = jnp.sum((jnp.cumsum(queue, axis=1) - queue) * queue, axis=-1).reshape(b, n, k)
    return jnp.where(mask[..., None] & (before < room), chosen * room + before, -1)


def _gathered(values: Float[Array, "b n d"], slots: Int[Array, "b n k"], count: int) -> Float[Array, "b s d"]:
    """What stands in each slot, 0 in those that stay empty."""
    b, n, k = slots.shape
    tokens = jnp.broadcast_to(jnp.arange(1, n + 1)[None, :, None], (b, n, k)).reshape(b, -1)
    fill = jax.vmap(lambda slot, token: jnp.zeros(count + 1, jnp.int32).at[slot].set(token))  # the last takes the rest
    source = fill(jnp.where(slots < 0, count, slots).reshape(b, -1), tokens)[:, :count]
    found = jnp.take_along_axis(values, jnp.maximum(source - 1, 0)[..., None], axis=1)
    return masks.zeroed(found, source > 0)
