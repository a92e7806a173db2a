"""Recordings to tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, masks, plain


class Audio(linen.Module):
    """Waveform to log-mel frames to tokens in time.

    With ``convolutions`` = 0, two convolutions over time alone make one token of every 2 frames, as in Whisper
    (Radford et al., 2022, https://arxiv.org/abs/2212.04356). With n, n stride-2 convolutions over time and
    frequency, the last with ``channels``, make one of every 2**n frames. ``rate`` is that of the waveform in Hz,
    ``window`` and ``hop`` are in seconds. A signal ``b n mels`` has log-mel frames already. ``positions`` are
    sinusoidal, learned (``length`` of them), rotary, relative or none, which does not tell when something was heard.
    A ``depth`` of 0 leaves the front end alone.

    Whisper itself has ``epsilon=1e-5``. Raises UserError for packed rows.
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
    positions: str = "sinusoidal"
    length: int = 0
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
        frames = nn.mel.count(samples, rate=self.rate, hop=self.hop)
        return -(-frames // 2 ** (self.convolutions or 1))

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        masks.unpacked(signal, of="encoders.Audio")
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        frames = nn.mel.frames(signal, rate=self.rate, mels=self.mels, window=self.window, hop=self.hop)
        values = frames.values.astype(jnp.dtype(self.dtype))
        values = self._pictured(values, frames.mask) if self.convolutions else self._timed(values, frames.mask)
        values = nn.position.marked(values, jnp.arange(values.shape[1])[None], kind=self.positions, length=self.length)
        mask = frames.mask[:, :: 2 ** (self.convolutions or 1)]
        return trunk(Tokens(values, mask), train=train)

    def _pictured(self, values: Float[Array, "b n f"], mask: Bool[Array, "b n"]) -> Float[Array, "b m d"]:
        channels = nn.convolution.channels(self.channels, self.convolutions)
        values = nn.Stem(channels, dtype=self.dtype, name="stem")(values[..., None], mask)
        values = values.reshape(*values.shape[:2], -1)
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)

    def _timed(self, values: Float[Array, "b n f"], mask: Bool[Array, "b n"]) -> Float[Array, "b m d"]:
        dtype = jnp.dtype(self.dtype)
        values = linen.Conv(self.width, (3,), padding=((1, 1),), dtype=dtype, name="convolution_0")(values)
        values = jnp.where(mask[..., None], nn.gelu(values), 0)
        values = linen.Conv(self.width, (3,), strides=2, padding=((1, 1),), dtype=dtype, name="convolution_1")(values)
        return nn.gelu(values)
