"""Series of measurements to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks, plain


class Sensor(linen.Module):
    """Several channels over time, one token for every ``patch`` steps (PatchTST, https://arxiv.org/abs/2211.14730).

    With a ``stride`` a patch begins at every so many steps, so that patches overlap. ``independent`` channels, as in
    the paper, each go through the same layers alone: one token a patch of each channel, those of the first channel
    first, marked with a learned vector a channel. ``standardise`` brings each channel of each series to mean 0 and
    deviation 1. ``positions`` are sinusoidal, learned (``length`` of them), rotary, relative or none. Norms are
    LayerNorm where the paper has BatchNorm, and an end that fills no patch is padded with masked zeros.

    With ``convolutions`` = n, n stride-2 convolutions come first and each of them halves the patch; the last of
    them has ``channels``. A patch is real where any of its steps is. Packed rows need ``convolutions`` = 0, no
    stride, no ``standardise``, and segments that start on whole patches. A ``depth`` of 0 leaves the front end alone.

    Raises UserError where the convolutions do not divide the patch, or would mix packed series or channels.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    patch: int = 4
    stride: int = 0
    convolutions: int = 0
    channels: int = 32
    independent: bool = False
    standardise: bool = False
    positions: str = "sinusoidal"
    length: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    norm_first: bool = True
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, steps: int, channels: int = 1) -> int:
        """How many tokens a series of so many steps gives; ``channels`` matter where they are independent."""
        return -(-steps // (self.stride or self.patch)) * (channels if self.independent else 1)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        self._check(signal)
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        channels = signal.values.shape[2]
        values = masks.zeroed(signal.values, signal.mask)
        values = nn.norm.standardised(values, signal.mask, epsilon=1e-5) if self.standardise else values
        if self.independent:
            values = values.swapaxes(1, 2).reshape(-1, values.shape[1], 1)  # a row for each channel
            signal = jax.tree.map(lambda leaf: jnp.repeat(leaf, channels, axis=0), signal)
        tokens = nn.kept.only(self._front(values.astype(jnp.dtype(self.dtype)), signal), signal.kept)
        if not self.independent:
            return trunk(tokens, train=train)
        own = self.param("channel", nn.embed.lookup_init, (channels, self.width)).astype(tokens.values.dtype)
        tokens = tokens.replace(values=tokens.values + jnp.tile(own, (len(tokens.values) // channels, 1))[:, None])
        tokens = trunk(tokens, train=train)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, channels * leaf.shape[1], *leaf.shape[2:]), tokens)

    def _front(self, values: Float[Array, "b t c"], signal: Signal) -> Tokens:
        """Patches with their positions."""
        stride = self.stride or self.patch
        values = self._patches(values, signal.mask)
        mask = jnp.any(_windows(signal.mask[:, :, None], self.patch, stride), axis=(2, 3))
        segments = None if signal.segments is None else signal.segments[:, ::stride]
        if signal.positions is None:
            positions = jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape)
        else:
            positions = signal.positions[:, ::stride] // stride
        values = nn.position.marked(values, positions, kind=self.positions, length=self.length)
        return Tokens(values, mask, segments, positions if segments is not None else None)

    def _patches(self, values: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b n d"]:
        shrunk = 2**self.convolutions
        if self.convolutions:
            channels = nn.convolution.channels(self.channels, self.convolutions)
            values = nn.Stem(channels, dtype=self.dtype, name="stem")(values, mask)
        windows = _windows(values, self.patch // shrunk, (self.stride or self.patch) // shrunk)
        values = windows.reshape(*windows.shape[:2], -1)
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)

    def _check(self, signal: Signal) -> None:
        shrunk = 2**self.convolutions
        for name, size in (("patch", self.patch), ("stride", self.stride or self.patch)):
            if size % shrunk or size < shrunk:
                raise UserError(
                    f"{name}={size} is not a multiple of {shrunk}, by which "
                    f"convolutions={self.convolutions} shrinks a series; change one of them"
                )
        if self.convolutions and signal.segments is not None:
            raise UserError("convolutions would mix the series of a packed row; use convolutions=0")
        mixed = self.convolutions or self.standardise or self.independent or self.stride not in (0, self.patch)
        if signal.kept is not None and mixed:
            raise UserError(
                "hidden patches need encoders.Sensor without convolutions, stride, standardise, independent"
            )
        if signal.segments is not None and (self.standardise or self.stride not in (0, self.patch)):
            raise UserError("stride and standardise would mix the series of a packed row; leave them out")


def _windows(values: Array, size: int, stride: int) -> Array:
    """From ``b t c``, ``size`` steps from every ``stride``-th on: ``b n size c``; after the end it is 0."""
    count = -(-values.shape[1] // stride)
    values = jnp.pad(values, ((0, 0), (0, max(0, (count - 1) * stride + size - values.shape[1])), (0, 0)))
    if size == stride:
        return values[:, : count * size].reshape(len(values), count, size, -1)
    return values[:, np.arange(count)[:, None] * stride + np.arange(size)]
