"""The same networks as flax's own layers make them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen

from tools.step import ours
from tools.step.shape import DECAY, EPSILON, PATCH, RATE, WORDS, Shape


class Network(linen.Module):
    """Front ends, layers, answer."""

    shape: Shape

    @linen.compact
    def __call__(self, inputs):
        s = self.shape
        towers = [self.layers(self.front(kind, inputs[kind]), s.depth) for kind in s.kinds]
        x = towers[0]
        if s.joint:
            x = self.layers(jnp.concatenate([linen.Dense(s.width)(tower) for tower in towers], axis=1), s.joint)
        if s.causal:
            return linen.Dense(WORDS, use_bias=False)(x)
        return linen.Dense(s.classes)(linen.LayerNorm(EPSILON)(x.mean(1)))

    def front(self, kind: str, x: Any) -> Any:
        """A modality's tokens."""
        width = self.shape.width
        if kind == "picture":
            x = linen.Conv(width, (PATCH, PATCH), (PATCH, PATCH))(x).reshape(len(x), -1, width)
        elif kind == "audio":
            x = linen.gelu(linen.Conv(width, (3,), padding=1)(x), approximate=False)
            x = linen.gelu(linen.Conv(width, (3,), 2, padding=1)(x), approximate=False)
        else:
            x = linen.Embed(WORDS, width)(x)
        return x + self.param(f"position_{kind}", linen.initializers.normal(0.02), x.shape[1:])

    def layers(self, x: Any, depth: int) -> Any:
        """A pre-LN transformer."""
        mask = linen.make_causal_mask(x[..., 0]) if self.shape.causal else None
        for _ in range(depth):
            y = linen.LayerNorm(EPSILON)(x)
            x = x + linen.MultiHeadDotProductAttention(self.shape.heads)(y, y, mask=mask)
            y = linen.Dense(4 * self.shape.width)(linen.LayerNorm(EPSILON)(x))
            x = x + linen.Dense(self.shape.width)(linen.gelu(y, approximate=False))
        return linen.LayerNorm(EPSILON)(x)


def stepper(shape: Shape) -> Callable[[], float]:
    """A compiled step that goes on from where it was; gives the loss."""
    network, rows = Network(shape), ours.batch(shape)
    x, y = {kind: signal.values for kind, signal in rows.inputs.items()}, rows.targets["y"].values
    params = jax.jit(network.init)(jax.random.key(0), x)
    optimizer = optax.adamw(RATE, weight_decay=DECAY)

    def loss(params):
        logits: Any = network.apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def step(held):
        value, grads = jax.value_and_grad(loss)(held[0])
        updates, moments = optimizer.update(grads, held[1], held[0])
        return (optax.apply_updates(held[0], updates), moments), value

    step, held = jax.jit(step, donate_argnums=0), [(params, jax.jit(optimizer.init)(params))]

    def once() -> float:
        held[0], value = step(held[0])
        return float(value)

    return once
