"""Recordings, as they are, to tokens."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks, plain


class Waveform(linen.Module):
    """wav2vec 2.0 (Baevski et al., 2020, https://arxiv.org/abs/2006.11477): a raw wave, convolutions, a transformer.

    Convolutions of so many ``channels``, ``kernels`` and ``strides``, without padding, each followed by GELU, make
    one token of every ``prod(strides)`` samples. ``norm`` is "group": after the first of them each channel is brought
    to mean 0 and deviation 1 over its row's real times; or "layer": after each of them, by position. ``bias`` gives
    them one. ``standardise`` does the same to the wave before. A token is real where all that it hears is, the first
    already where anything is.

    ``positions`` are convolutional (a kernel of ``reach`` tokens in ``groups`` of features, added), sinusoidal,
    learned (``length`` of them), rotary, relative or none. A ``depth`` of 0 leaves the front end alone.

    The base model is ``width=768, depth=12, heads=12, key_bias=True``; the large one has ``norm="layer", bias=True,
    norm_first=True``. Raises UserError for packed rows, and where the convolutions do not fit each other.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    channels: Sequence[int] = (512, 512, 512, 512, 512, 512, 512)
    kernels: Sequence[int] = (10, 3, 3, 3, 3, 2, 2)
    strides: Sequence[int] = (5, 2, 2, 2, 2, 2, 2)
    norm: str = "group"
    bias: bool = False
    standardise: bool = True
    positions: str = "convolutional"
    reach: int = 128
    groups: int = 16
    length: int = 0
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    key_bias: bool = False
    norm_first: bool = False
    epsilon: float = 1e-5
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, samples: int) -> int:
        """How many tokens a recording of so many samples gives."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = max(0, samples - kernel) // stride + 1
        return samples

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        self._check(signal)
        dtype = jnp.dtype(self.dtype)
        within = {} if self.positions == "convolutional" else nn.position.within(self.positions)
        # ``norm`` and ``bias`` are those of the convolutions.
        fields = {**plain.common(nn.Trunk, self), "norm": nn.Trunk.norm, "bias": nn.Trunk.bias, **within}
        trunk = nn.Trunk(**fields, name="trunk")
        values, mask = masks.zeroed(signal.values, signal.mask)[..., None].astype(jnp.float32), signal.mask
        if self.standardise:
            values = nn.norm.standardised(values, mask, epsilon=1e-7)
        values, mask = self._heard(values.astype(dtype), mask)
        values = nn.LayerNorm(self.epsilon, dtype=dtype, name="embed_norm")(values)
        values = masks.zeroed(linen.Dense(self.width, dtype=dtype, name="embed")(values), mask)
        values = self._placed(values)
        values = linen.Dropout(self.dropout, deterministic=not train)(values)
        return trunk(Tokens(values, mask), train=train)

    def _heard(
        self, values: Float[Array, "b t 1"], mask: Bool[Array, "b t"]
    ) -> tuple[Float[Array, "b n c"], Bool[Array, "b n"]]:
        """Through the convolutions."""
        dtype = jnp.dtype(self.dtype)
        for i, (width, kernel, stride) in enumerate(zip(self.channels, self.kernels, self.strides, strict=True)):
            room = ((0, 0), (0, max(0, kernel - mask.shape[1])))
            values, mask = jnp.pad(masks.zeroed(values, mask), (*room, (0, 0))), jnp.pad(mask, room)
            convolution = linen.Conv(
                width,
                (kernel,),
                strides=stride,
                padding="VALID",
                use_bias=self.bias,
                kernel_init=linen.initializers.he_normal(),
                dtype=dtype,
                name=f"convolution_{i}",
            )
            values, mask = convolution(values), _whole(mask, kernel, stride)
            if self.norm == "layer":
                values = nn.LayerNorm(1e-5, dtype=dtype, name=f"norm_{i}")(values)
            elif i == 0:
                values = nn.GroupNorm(width, dtype=self.dtype, name="norm_0")(values, mask, train=False)
            values = nn.gelu(values)
        return values, mask

    def _placed(self, values: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """With what tells where each token stands; masked ones are 0."""
        if self.positions != "convolutional":
            places = jnp.arange(values.shape[1])[None]
            return nn.position.marked(values, places, kind=self.positions, length=self.length)
        around = linen.Conv(
            self.width,
            (self.reach,),
            padding=((self.reach // 2, (self.reach - 1) // 2),),
            feature_group_count=self.groups,
            kernel_init=linen.initializers.normal(math.sqrt(4 / (self.reach * self.width))),
            dtype=jnp.dtype(self.dtype),
            name="position",
        )
        return values + nn.gelu(around(values))

    def _check(self, signal: Signal) -> None:
        masks.unpacked(signal, of="encoders.Waveform")
        if not len(self.channels) == len(self.kernels) == len(self.strides) > 0:
            raise UserError("channels, kernels and strides of encoders.Waveform must have one number a convolution")
        if self.norm not in ("group", "layer"):
            raise UserError(f"norm of encoders.Waveform is {self.norm!r}; it can be group or layer")
        if self.positions == "convolutional" and self.width % self.groups:
            raise UserError(f"groups={self.groups} does not divide width={self.width}; choose a divisor of the width")


def _whole(mask: Bool[Array, "b t"], kernel: int, stride: int) -> Bool[Array, "b n"]:
    """Where a kernel meets real positions alone, or, at the start, any."""
    starts = np.arange(0, mask.shape[1] - kernel + 1, stride)
    windows = mask[:, starts[:, None] + np.arange(kernel)]
    return jnp.all(windows, axis=2) | (jnp.any(windows, axis=2) & (starts == 0))
