"""Into the width of a trunk."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Shaped

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
