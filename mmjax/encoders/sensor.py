"""Series of measurements to tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks, plain


class Sensor(linen.Module):
    """Several channels over time, one token for every ``patch`` steps (PatchTST, https://arxiv.org/abs/2211.14730).

    With ``convolutions`` = n, n stride-2 convolutions come first and each of them halves the patch; the last of
    them has ``channels``. A patch is real where any of its steps is. Packed rows need ``convolutions`` = 0 and
    segments that start on whole patches. A ``depth`` of 0 leaves the front end alone.

    Raises UserError where the convolutions do not divide the patch, or would mix packed series.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    patch: int = 4
    convolutions: int = 0
    channels: int = 32
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: bool = False
    dtype: str = "float32"

    def tokens(self, steps: int) -> int:
        """How many tokens a series of so many steps gives."""
        return -(-steps // self.patch)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        if self.convolutions and signal.segments is not None:
            raise UserError("convolutions would mix the series of a packed row; use convolutions=0")
        values = masks.zeroed(signal.values, signal.mask).astype(jnp.dtype(self.dtype))
        values = self._patches(values, signal.mask)
        mask = jnp.any(nn.embed.patches(signal.mask[:, :, None, None], rows=self.patch, columns=1)[:, :, 0], axis=-1)
        segments = None if signal.segments is None else signal.segments[:, :: self.patch]
        if signal.positions is None:
            positions = jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape)
        else:
            positions = signal.positions[:, :: self.patch] // self.patch
        values += nn.position.sinusoids(positions, self.width).astype(values.dtype)
        tokens = Tokens(values, mask, segments, positions if segments is not None else None)
        return nn.Trunk(**plain.common(nn.Trunk, self), name="trunk")(tokens, train=train)

    def _patches(self, values: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b n d"]:
        size, rest = divmod(self.patch, 2**self.convolutions)
        if rest or not size:
            raise UserError(
                f"patch={self.patch} is not a multiple of {2**self.convolutions}, by which "
                f"convolutions={self.convolutions} shrinks a series; change one of them"
            )
        if self.convolutions:
            channels = nn.convolution.channels(self.channels, self.convolutions)
            values = nn.Stem(channels, dtype=self.dtype, name="stem")(values, mask)
        values = nn.embed.patches(values[:, :, None], rows=size, columns=1)[:, :, 0]
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)
