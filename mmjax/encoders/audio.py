"""Recordings to tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, plain


class Audio(linen.Module):
    """Waveform to log-mel frames to tokens in time.

    With ``convolutions`` = 0, two convolutions over time alone make one token of every 2 frames, as in Whisper
    (Radford et al., 2022, https://arxiv.org/abs/2212.04356). With n, n stride-2 convolutions over time and
    frequency, the last with ``channels``, make one of every 2**n frames. ``rate`` is that of the waveform in Hz,
    ``window`` and ``hop`` are in seconds. A ``depth`` of 0 leaves the front end alone;
    without ``positions`` it does not tell when something was heard.
    """

    rate: int = 16_000
    mels: int = 80
    window: float = 0.025
    hop: float = 0.010
    width: int = 64
    depth: int = 2
    heads: int = 4
    convolutions: int = 0
    channels: int = 32
    positions: bool = True
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: bool = False
    dtype: str = "float32"

    def tokens(self, samples: int) -> int:
        """How many tokens a recording of so many samples gives."""
        frames = -(-samples // round(self.hop * self.rate))
        return -(-frames // 2 ** (self.convolutions or 1))

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        frames = nn.mel.log_mel(
            signal.values, signal.mask, rate=self.rate, mels=self.mels, window=self.window, hop=self.hop
        )
        values = frames.values.astype(jnp.dtype(self.dtype))
        values = self._pictured(values, frames.mask) if self.convolutions else self._timed(values, frames.mask)
        if self.positions:
            values += nn.position.sinusoids(jnp.arange(values.shape[1]), self.width).astype(values.dtype)
        mask = frames.mask[:, :: 2 ** (self.convolutions or 1)]
        return nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")(Tokens(values, mask), train=train)

    def _pictured(self, values: Float[Array, "b n f"], mask: Bool[Array, "b n"]) -> Float[Array, "b m d"]:
        channels = nn.convolution.channels(self.channels, self.convolutions)
        values = nn.Stem(channels, dtype=self.dtype, name="stem")(values[..., None], mask)
        values = values.reshape(*values.shape[:2], -1)
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)

    def _timed(self, values: Float[Array, "b n f"], mask: Bool[Array, "b n"]) -> Float[Array, "b m d"]:
        dtype = jnp.dtype(self.dtype)
        values = linen.Conv(self.width, (3,), padding=((1, 1),), dtype=dtype, name="convolution_0")(values)
        values = jnp.where(mask[..., None], linen.gelu(values, approximate=False), 0)
        values = linen.Conv(self.width, (3,), strides=2, padding=((1, 1),), dtype=dtype, name="convolution_1")(values)
        return linen.gelu(values, approximate=False)
