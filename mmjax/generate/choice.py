"""Which word comes next, given the logits of all."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import UserError


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a word is chosen, in this order.

    repetition: logits of words that were there already (in the prompt, too) are divided by it where positive, else
    multiplied (Keskar et al., 2019, https://arxiv.org/abs/1909.05858). temperature: what logits are divided by; 0 takes
    the likeliest word. top_k: only the likeliest so many, 0 for all. top_p: only the likeliest that together have this
    probability (Holtzman et al., 2020, https://arxiv.org/abs/1904.09751). min_p: only those at least so probable
    relative to the likeliest (Nguyen et al., 2024, https://arxiv.org/abs/2407.01082).

    Raises UserError for a number that makes no sense.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition: float = 1.0

    def __post_init__(self) -> None:
        for name, right, what in (
            ("temperature", 0 <= self.temperature < np.inf, "0 (the likeliest word) or more"),
            ("top_k", self.top_k >= 0, "0 (all words) or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("repetition", 0 < self.repetition < np.inf, "above 0; 1 changes nothing"),
        ):
            if not right:
                raise UserError(f"{name}={getattr(self, name)} must be {what}")

    @property
    def kind(self) -> "Kind":
        """What has to be compiled; the numbers themselves are not."""
        drawn = self.temperature > 0
        return Kind(drawn, drawn and (self.top_k > 0 or self.top_p < 1), drawn and self.min_p > 0, self.repetition != 1)

    def numbers(self) -> dict[str, np.ndarray]:
        """The fields as arrays."""
        return {name: np.asarray(value) for name, value in dataclasses.asdict(self).items()}


class Kind(NamedTuple):
    """Which parts of a choice are needed. sorts: ``top_k`` or ``top_p``."""

    draws: bool
    sorts: bool
    floors: bool
    remembers: bool


def chosen(
    logits: Float[Array, "b k"], seen: Bool[Array, "b k"] | None, numbers: dict[str, Any], keys: Any, kind: Kind
) -> Int[Array, " b"]:
    """A word for each row, drawn with the row's own key of ``keys``."""
    logits = logits.astype(jnp.float32)
    if kind.remembers and seen is not None:
        factor = numbers["repetition"]
        logits = jnp.where(seen, jnp.where(logits > 0, logits / factor, logits * factor), logits)
    if not kind.draws:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = logits / numbers["temperature"]
    if kind.sorts:
        logits = _likeliest(logits, numbers["top_k"], numbers["top_p"])
    if kind.floors:
        best = jnp.max(logits, axis=-1, keepdims=True)
        logits = jnp.where(logits >= best + jnp.log(numbers["min_p"]), logits, -jnp.inf)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)


def _likeliest(logits: Float[Array, "b k"], top_k: Any, top_p: Any) -> Float[Array, "b k"]:
    """-inf but for the ``top_k`` likeliest, and of those the fewest that together have ``top_p``."""
    order = -jnp.sort(-logits, axis=-1)
    ranks = jnp.arange(logits.shape[-1])
    order = jnp.where((ranks < top_k) | (top_k == 0), order, -jnp.inf)
    shares = jax.nn.softmax(order)
    kept = (jnp.cumsum(shares, axis=-1) - shares < top_p) & (order > -jnp.inf)
    last = jnp.sum(kept, axis=-1, keepdims=True) - 1
    return jnp.where(logits >= jnp.take_along_axis(order, last, axis=-1), logits, -jnp.inf)
