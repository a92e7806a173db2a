"""Recurrent networks over masked tokens."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Tokens, UserError, masks

State = tuple[Array, ...]  # what a cell hands on, each ``b d`` in float32; the first is what comes out


def _rnn(state: State, inputs: Array, hidden: Array) -> State:
    return (jnp.tanh(inputs + hidden),)


def _lstm(state: State, inputs: Array, hidden: Array) -> State:
    enter, forget, new, out = jnp.split(inputs + hidden, 4, axis=-1)
    cell = jax.nn.sigmoid(forget) * state[1] + jax.nn.sigmoid(enter) * jnp.tanh(new)
    return jax.nn.sigmoid(out) * jnp.tanh(cell), cell


def _gru(state: State, inputs: Array, hidden: Array) -> State:
    reset, update, new = zip(jnp.split(inputs, 3, axis=-1), jnp.split(hidden, 3, axis=-1), strict=True)
    keep = jax.nn.sigmoid(sum(update))
    fresh = jnp.tanh(new[0] + jax.nn.sigmoid(sum(reset)) * new[1])
    return ((1 - keep) * fresh + keep * state[0],)


# By cell: its step, gates, and how many things it hands on.
_CELLS: dict[str, tuple[Callable[[State, Array, Array], State], int, int]] = {
    "rnn": (_rnn, 1, 1),
    "lstm": (_lstm, 4, 2),
    "gru": (_gru, 3, 1),
}


class Recurrent(linen.Module):
    """``depth`` recurrent layers of ``width``, read forwards or, with ``bidirectional``, both ways: then 2 ``width``.

    ``cell``: "rnn" (Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1), "lstm" (Hochreiter & Schmidhuber,
    1997, https://doi.org/10.1162/neco.1997.9.8.1735, with forget gates) or "gru" (Cho et al., 2014,
    https://arxiv.org/abs/1406.1078), with the gates, biases and order of torch.nn. Masked steps hand the state
    on as it is and come out as 0; a new segment begins with a new state. The state is in float32.
    ``dropout`` acts between layers.

    Raises UserError for another cell.
    """

    width: int
    cell: str = "lstm"
    depth: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool) -> Tokens:
        if self.cell not in _CELLS:
            raise UserError(f"cell={self.cell!r} is not known; choose one of {', '.join(_CELLS)}")
        values = masks.zeroed(tokens.values, tokens.mask).astype(jnp.dtype(self.dtype))
        ways = ("forward", "backward") if self.bidirectional else ("forward",)
        for i in range(self.depth):
            if i:
                values = linen.Dropout(self.dropout, deterministic=not train)(values)
            layers = [
                Layer(self.width, self.cell, backward=way == "backward", dtype=self.dtype, name=f"layer_{i}_{way}")
                for way in ways
            ]
            values = jnp.concatenate([layer(values, tokens.mask, tokens.segments) for layer in layers], axis=-1)
        return tokens.replace(values=values)


class Layer(linen.Module):
    """One layer in one direction."""

    width: int
    cell: str
    backward: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self, values: Float[Array, "b n c"], mask: Bool[Array, "b n"], segments: Int[Array, "b n"] | None = None
    ) -> Float[Array, "b n d"]:
        step, gates, handed = _CELLS[self.cell]
        dtype = jnp.dtype(self.dtype)
        # What the inputs say to the gates needs no state: one large product for all steps.
        init = _remembering if self.cell == "lstm" else linen.initializers.zeros
        inputs = linen.Dense(gates * self.width, bias_init=init, dtype=dtype, name="input")(values)
        kernel = self.param("hidden_kernel", _orthogonal, (self.width, gates * self.width)).astype(dtype)
        bias = self.param("hidden_bias", linen.initializers.zeros, (gates * self.width,))

        def turn(carry: tuple[State, Array], now: tuple[Array, Array, Array]) -> tuple[tuple[State, Array], Array]:
            (state, segment), (said, real, place) = carry, now
            begun = (segment == place)[:, None]
            before = tuple(jnp.where(begun, part, 0) for part in state)
            hidden = (before[0].astype(dtype) @ kernel).astype(jnp.float32) + bias
            after = step(before, said.astype(jnp.float32), hidden)
            state = tuple(jnp.where(real[:, None], new, old) for new, old in zip(after, state, strict=True))
            return (state, jnp.where(real, place, segment)), after[0].astype(dtype)

        places = jnp.zeros(mask.shape, jnp.int32) if segments is None else segments
        nothing = jnp.zeros((len(values), self.width))
        first = ((nothing,) * handed, jnp.zeros(len(values), jnp.int32))
        over = jax.tree.map(lambda part: jnp.swapaxes(part, 0, 1), (inputs, mask, places))
        _, out = jax.lax.scan(turn, first, over, reverse=self.backward)
        return masks.zeroed(jnp.swapaxes(out, 0, 1), mask)


def _orthogonal(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
    """Each gate's square by itself."""
    keys = jax.random.split(key, shape[1] // shape[0])
    squares = [linen.initializers.orthogonal()(key, (shape[0],) * 2, jnp.float32) for key in keys]
    return jnp.concatenate(squares, axis=1)


def _remembering(key: Array, shape: tuple[int], dtype: Any = jnp.float32) -> Array:
    """0, but 1 for the gate of forgetting: at 0 half of the cell would be lost at each step.

    Jozefowicz et al., 2015, https://proceedings.mlr.press/v37/jozefowicz15.html.
    """
    return (jnp.arange(shape[0]) // (shape[0] // 4) == 1).astype(jnp.float32)
