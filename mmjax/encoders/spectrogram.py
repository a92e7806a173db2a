"""Recordings, seen as pictures of their spectra, to tokens."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Bool

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks, plain


class Spectrogram(linen.Module):
    """The audio spectrogram transformer (AST, Gong et al., 2021, https://arxiv.org/abs/2104.01778).

    Squares of ``patch`` log-mel frames by as many bands, one every ``stride`` of each, so that they overlap; what is
    too little for another square at the end or above is left out. Tokens come in the order of their bands, then of
    time, after ``class_tokens``. A square is real where all of its frames are, the first already where any is.

    ``rate`` is that of the waveform in Hz, ``window`` and ``hop`` are in seconds; a signal ``b n mels`` has frames
    already. ``positions`` are learned (a table of ``grid`` bands and times), sinusoidal, rotary, relative or none, by
    band and time. A ``depth`` of 0 leaves the front end alone.

    AST itself is ``width=768, depth=12, heads=12, key_bias=True, epsilon=1e-12`` over frames of Kaldi's filter banks.
    Raises UserError for packed rows, and where a square is higher than there are bands.
    """

    rate: int = 16_000
    mels: int = 128
    window: float = 0.025
    hop: float = 0.010
    width: int = 64
    depth: int = 2
    heads: int = 4
    patch: int = 16
    stride: int = 10
    positions: str = "learned"
    grid: Sequence[int] = (12, 101)
    class_tokens: int = 2
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    key_bias: bool = False
    norm_first: bool = True
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, samples: int) -> int:
        """How many tokens a recording of so many samples gives."""
        times = self._count(nn.mel.count(samples, rate=self.rate, hop=self.hop))
        return self.class_tokens + times * self._count(self.mels)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        masks.unpacked(signal, of="encoders.Spectrogram")
        if self.patch > self.mels:
            raise UserError(f"patch={self.patch} is more than mels={self.mels}; change one of them")
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        frames = nn.mel.frames(signal, rate=self.rate, mels=self.mels, window=self.window, hop=self.hop)
        picture = jnp.pad(frames.values, ((0, 0), (0, max(0, self.patch - frames.values.shape[1])), (0, 0)))
        squares = linen.Conv(
            self.width,
            (self.patch, self.patch),
            strides=self.stride,
            padding="VALID",
            dtype=jnp.dtype(self.dtype),
            name="embed",
        )(picture.swapaxes(1, 2)[..., None])
        values, places = nn.position.marked_2d(squares, kind=self.positions, grid=self.grid)
        mask = jnp.tile(self._real(frames.mask), (1, squares.shape[1]))
        tokens = nn.embed.ClassTokens(self.class_tokens, name="class")(Tokens(values, mask, positions=places))
        if signal.kept is not None and self.stride < self.patch:
            raise UserError(f"squares that overlap would tell of hidden ones; set stride={self.patch}, the patch")
        return trunk(nn.kept.only(tokens, signal.kept), train=train)

    def _count(self, length: int) -> int:
        return max(0, length - self.patch) // self.stride + 1

    def _real(self, mask: Bool[Array, "b n"]) -> Bool[Array, "b m"]:
        """Which of the squares along time are real."""
        mask = jnp.pad(mask, ((0, 0), (0, max(0, self.patch - mask.shape[1]))))
        starts = np.arange(self._count(mask.shape[1])) * self.stride
        windows = mask[:, starts[:, None] + np.arange(self.patch)]
        return jnp.all(windows, axis=2) | (jnp.any(windows, axis=2) & (starts == 0))
