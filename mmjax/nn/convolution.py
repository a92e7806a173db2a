"""Convolutions that padding never leaks into."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Signal, masks


def channels(last: int, layers: int, *, least: int = 8) -> tuple[int, ...]:
    """Channels of a stem's layers: ``last`` in the last, half of the next (but ``least``) in each before it."""
    return tuple(max(last >> (layers - 1 - i), min(least, last)) for i in range(layers))


def masked(
    signal: Signal,
    channels: int,
    *,
    kernel: int | Sequence[int],
    name: str,
    stride: int | Sequence[int] = 1,
    bias: bool = False,
    dtype: str = "float32",
) -> Signal:
    """A convolution of ``b n *s c`` to ``b m *r channels``, for use inside of a compact method.

    kernel, stride: one for all axes, or one for each. Output i is centred on input ``i * stride`` and real where
    that is, so every axis shrinks to its ``stride``-th part, rounded up. Masked positions count as 0.
    """
    axes = signal.values.ndim - 2
    sizes, strides = _each(kernel, axes), _each(stride, axes)
    convolution = linen.Conv(
        channels,
        sizes,
        strides=strides,
        padding=[(size // 2, (size - 1) // 2) for size in sizes],
        use_bias=bias,
        kernel_init=linen.initializers.he_normal(),
        dtype=jnp.dtype(dtype),
        name=name,
    )
    return Signal(convolution(masks.zeroed(signal.values, signal.mask)), signal.mask[:, :: strides[0]])


def apart(values: Float[Array, "b n *s c"], segments: Int[Array, "b n"], *, stride: int) -> Float[Array, "m 3 *s c"]:
    """What a convolution of size 3 sees around every ``stride``-th position, row after row; other segments count as 0.

    A convolution without padding over axis 1 of these is one over each segment by itself.
    """
    centres = np.arange(0, values.shape[1], stride)[:, None]
    seen = centres + np.arange(-1, 2)  # n 3
    inside = (seen >= 0) & (seen < values.shape[1])
    seen = np.clip(seen, 0, values.shape[1] - 1)
    own = jnp.asarray(inside) & (segments[:, seen] == segments[:, centres])
    windows = masks.zeroed(values[:, seen], own)
    return windows.reshape(-1, *windows.shape[2:])


def _each(size: int | Sequence[int], axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)


class Stem(linen.Module):
    """Convolutions of size 3 and stride 2 over time or a picture, each followed by GELU.

    Early convolutions make small transformers train better (Xiao et al., 2021,
    https://arxiv.org/abs/2106.14881). There is no norm: one by position forgets how strong a signal is there
    (spoken digits: 96.4 % with LayerNorm, 99.2 % without), one over positions would let padding in.
    """

    channels: Sequence[int]
    dtype: str = "float32"

    @linen.compact
    def __call__(
        self,
        values: Float[Array, "b n *s c"],
        mask: Bool[Array, "b n"] | None = None,
        segments: Int[Array, "b n"] | None = None,
    ) -> Float[Array, "b m *r d"]:
        """``mask`` tells which positions along the first axis are real: the rest count as 0 in every layer.

        What comes out is real where every ``2 ** len(channels)``-th position of the mask is, and 0 elsewhere.
        ``segments`` along the first axis, each of which begins at such a position, do not see each other.
        """
        dtype, axes = jnp.dtype(self.dtype), values.ndim - 2
        for i, width in enumerate(self.channels):
            values = values if mask is None else masks.zeroed(values, mask)
            convolution = linen.Conv(
                width,
                (3,) * axes,
                strides=2,
                padding=((1, 1) if segments is None else (0, 0), *((1, 1),) * (axes - 1)),
                kernel_init=linen.initializers.he_normal(),
                dtype=dtype,
                name=f"convolution_{i}",
            )
            if segments is None:
                values = linen.gelu(convolution(values))
            else:
                seen = linen.gelu(convolution(apart(values, segments, stride=2)))
                values = seen.reshape(len(values), -1, *seen.shape[2:])
                segments = segments[:, ::2]
            mask = None if mask is None else mask[:, ::2]
        return values if mask is None else masks.zeroed(values, mask)
