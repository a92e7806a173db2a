"""Recordings to tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float, Int

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

    Recordings of a packed row never hear each other, each to begin at a multiple of the samples of a token. Whisper
    itself has ``epsilon=1e-5``.
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
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        frames = nn.mel.frames(signal, rate=self.rate, mels=self.mels, window=self.window, hop=self.hop)
        frames = frames.replace(values=frames.values.astype(jnp.dtype(self.dtype)))
        values = self._pictured(frames) if self.convolutions else self._timed(frames)
        stride = 2 ** (self.convolutions or 1)
        mask, segments = frames.mask[:, ::stride], None if frames.segments is None else frames.segments[:, ::stride]
        positions = None if frames.positions is None else frames.positions[:, ::stride] // stride
        at = jnp.arange(values.shape[1])[None] if positions is None else positions
        values = nn.position.marked(values, at, kind=self.positions, length=self.length)
        return trunk(Tokens(values, mask, segments, positions), train=train)

    def _pictured(self, frames: Tokens) -> Float[Array, "b m d"]:
        channels = nn.convolution.channels(self.channels, self.convolutions)
        stem = nn.Stem(channels, dtype=self.dtype, name="stem")
        values = stem(frames.values[..., None], frames.mask, frames.segments)
        values = values.reshape(*values.shape[:2], -1)
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)

    def _timed(self, frames: Tokens) -> Float[Array, "b m d"]:
        values = masks.zeroed(self._convolved(frames.values, frames.segments, 0), frames.mask)
        return self._convolved(values, frames.segments, 1)

    def _convolved(
        self, values: Float[Array, "b n f"], segments: Int[Array, "b n"] | None, number: int
    ) -> Float[Array, "b m d"]:
        stride, padding = 1 + number, 1 if segments is None else 0
        layer = linen.Conv(
            self.width,
            (3,),
            strides=stride,
            padding=((padding, padding),),
            dtype=jnp.dtype(self.dtype),
            name=f"convolution_{number}",
        )
        seen = values if segments is None else nn.convolution.apart(values, segments, stride=stride)
        return nn.gelu(layer(seen)).reshape(len(values), -1, self.width)
