"""Pictures to tokens."""

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks


class Image(linen.Module):
    """A vision transformer (Dosovitskiy et al., 2020, https://arxiv.org/abs/2010.11929): one token a patch.

    ``patch`` is in pixels. With ``convolutions`` = n, n stride-2 convolutions come first and each of them
    halves the patch, so n = log2(patch) makes the stem convolutional throughout. Pictures may have any
    size; they are padded with 0 to whole patches. uint8 pixels are scaled to -1..1, floats taken as they are.
    A ``depth`` of 0 leaves the front end alone.

    Raises UserError where the convolutions do not divide the patch.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    patch: int = 4
    convolutions: int = 2
    channels: int = 32
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        values = masks.zeroed(signal.values, signal.mask).astype(jnp.float32)
        if signal.values.dtype == jnp.uint8:
            values = values / 127.5 - 1
        grid = self._patches(values.astype(jnp.dtype(self.dtype)))
        rows, columns = grid.shape[1:3]
        values = grid.reshape(grid.shape[0], rows * columns, self.width)
        values = values + nn.position.sinusoids_2d(rows, columns, self.width).astype(values.dtype)
        mask = jnp.broadcast_to(masks.present(signal.mask)[:, None], values.shape[:2])
        trunk = nn.Trunk(
            self.depth,
            self.heads,
            mlp=self.mlp,
            dropout=self.dropout,
            drop_path=self.drop_path,
            scan=self.scan,
            remat=self.remat,
            dtype=self.dtype,
            name="trunk",
        )
        return trunk(Tokens(values, mask), train=train)

    def _patches(self, values: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
        size, rest = divmod(self.patch, 2**self.convolutions)
        if rest:
            raise UserError(
                f"patch={self.patch} is not a multiple of {2**self.convolutions}, to which "
                f"{self.convolutions} stride-2 convolutions shrink a picture; change patch or convolutions"
            )
        if self.convolutions:
            channels = nn.convolution.channels(self.channels, self.convolutions)
            values = nn.Stem(channels, dtype=self.dtype, name="stem")(values)
        b, h, w, c = values.shape
        values = jnp.pad(values, ((0, 0), (0, -h % size), (0, -w % size), (0, 0)))
        rows, columns = values.shape[1] // size, values.shape[2] // size
        values = values.reshape(b, rows, size, columns, size, c).swapaxes(2, 3)
        values = values.reshape(b, rows, columns, size * size * c)
        return linen.Dense(self.width, dtype=jnp.dtype(self.dtype), name="embed")(values)
