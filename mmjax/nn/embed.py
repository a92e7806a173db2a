"""Into the width of a trunk."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Shaped

from mmjax.core import Signal, Tokens, masks

# About as large as the sinusoids of positions and as what a fresh layer adds, so that neither drowns the other.
lookup_init = linen.initializers.normal(0.5)


def project(width: int, *, stream: str, dtype: str) -> linen.Dense:
    """The layer that takes one stream to a fusion's width; its bias serves as the modality's embedding."""
    init = linen.initializers.normal(0.02)
    return linen.Dense(width, bias_init=init, dtype=jnp.dtype(dtype), name=f"project_{stream}")


def patches(values: Shaped[Array, "b h w c"], *, rows: int, columns: int) -> Shaped[Array, "b i j d"]:
    """Windows of ``rows`` by ``columns``, each laid out flat; the lower and right edges are padded with 0."""
    b, h, w, c = values.shape
    values = jnp.pad(values, ((0, 0), (0, -h % rows), (0, -w % columns), (0, 0)))
    i, j = values.shape[1] // rows, values.shape[2] // columns
    return values.reshape(b, i, rows, j, columns, c).swapaxes(2, 3).reshape(b, i, j, rows * columns * c)


def tubes(signal: Signal, *, patch: int, frames: int) -> tuple[Float[Array, "b t i j d"], Bool[Array, "b t"]]:
    """Tubes of ``patch`` by ``patch`` pixels over ``frames`` frames of a video, each laid out flat, frame by frame.

    uint8 pixels are scaled to -1..1; frames that are not real, and what fills the last tubes up, are 0. And which times
    are real: those of which any frame is.
    """
    values = masks.zeroed(signal.values, signal.mask).astype(jnp.float32)
    if signal.values.dtype == jnp.uint8:
        values = masks.zeroed(values / 127.5 - 1, signal.mask)
    room = ((0, 0), (0, -values.shape[1] % frames))
    values, mask = jnp.pad(values, (*room, (0, 0), (0, 0), (0, 0))), jnp.pad(signal.mask, room)
    rows, length = mask.shape
    flat = patches(values.reshape(rows * length, *values.shape[2:]), rows=patch, columns=patch)  # (b t) i j d
    flat = flat.reshape(rows, length // frames, frames, *flat.shape[1:])
    flat = jnp.moveaxis(flat, 2, -2).reshape(rows, length // frames, *flat.shape[3:5], -1)
    return flat, jnp.any(mask.reshape(rows, -1, frames), axis=2)


class ClassTokens(linen.Module):
    """``count`` learned tokens before all others (BERT, Devlin et al., 2018, https://arxiv.org/abs/1810.04805).

    They are there in every row that has anything, and stand at position 0. ``placed``: each has a learned position of
    its own besides, as released ViTs have.
    """

    count: int
    placed: bool = False

    @linen.compact
    def __call__(self, tokens: Tokens) -> Tokens:
        if not self.count:
            return tokens
        rows, width = len(tokens.values), tokens.values.shape[-1]
        learned = self.param("token", linen.initializers.normal(0.02), (self.count, width))
        if self.placed:
            learned += self.param("position", linen.initializers.normal(0.02), (self.count, width))
        own = jnp.broadcast_to(learned.astype(tokens.values.dtype), (rows, self.count, width))
        here = jnp.broadcast_to(masks.present(tokens.mask)[:, None], (rows, self.count))
        positions = tokens.positions
        if positions is not None:
            start = jnp.zeros((rows, self.count, *positions.shape[2:]), positions.dtype)
            positions = jnp.concatenate([start, positions], axis=1)
        values = jnp.concatenate([masks.zeroed(own, here), tokens.values], axis=1)
        return Tokens(values, jnp.concatenate([here, tokens.mask], axis=1), positions=positions)
