"""Recordings as pictures."""

import jax
import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, masks


class Spectrum(linen.Module):
    """A recording's log-mel spectrum, given as a picture ``b n mels 1`` to encoder ``picture``, as networks of
    pictures first heard sounds at scale (Hershey et al., 2017, https://arxiv.org/abs/1609.09430).

    Time runs down the rows of the picture, whose mask is that of the frames, ``b n``: LeNet, ResNet and ConvNeXt
    see what is real and nothing of the padding. Series takes the bands of each frame as channels.
    ``rate`` is that of the waveform in Hz, ``window`` and ``hop`` are in seconds; a signal ``b n mels`` has frames
    already.

    Raises UserError for packed rows.
    """

    picture: linen.Module
    rate: int = 16_000
    mels: int = 80
    window: float = 0.025
    hop: float = 0.010

    def tokens(self, samples: int) -> int:
        """How many tokens a recording of so many samples gives."""
        frames = nn.mel.count(samples, rate=self.rate, hop=self.hop)
        return self.picture.tokens(frames, self.mels)  # pyright: ignore[reportAttributeAccessIssue]

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        masks.unpacked(signal, of="encoders.Spectrum")
        frames = nn.mel.frames(signal, rate=self.rate, mels=self.mels, window=self.window, hop=self.hop)
        return self.picture(Signal(frames.values[..., None], frames.mask), train=train)
