"""Pictures to tokens."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Signal, Tokens, UserError, masks, plain


class Image(linen.Module):
    """A vision transformer (ViT, Dosovitskiy et al., 2020, https://arxiv.org/abs/2010.11929): one token a patch.

    ``patch`` is in pixels. With ``convolutions`` = n, n stride-2 convolutions come first and each of them
    halves the patch, so n = log2(patch) makes the stem convolutional throughout; the last of them has
    ``channels``. Pictures may have any size; they are padded with 0 to whole patches. uint8 pixels are scaled
    to -1..1, floats taken as they are. ``positions`` are sinusoidal, learned (a table of ``grid`` rows and columns of
    patches), rotary, relative or none, by row and column. ``class_tokens`` come before the patches; ``class_places``
    gives them positions of their own. Without ``patch_bias`` patches are embedded by a product alone; with
    ``embed_norm`` all tokens are normed before the first layer.
    A ``depth`` of 0 leaves the front end alone.

    A signal ``b n d`` has patches of d = patch * patch * channels pixels already, each with its row and column as
    ``positions``, ``b n 2``: so pictures keep their own shape, and several may share a row, in segments (NaViT,
    Dehghani et al., 2023, https://arxiv.org/abs/2307.06304). That needs ``convolutions`` = 0, and packed rows no
    ``class_tokens``.

    ViT itself is ``convolutions=0, positions="learned", class_tokens=1, key_bias=True, epsilon=1e-12``; CLIP's is in
    ``zoo.clip``.
    Raises UserError where the convolutions do not divide the patch, and where patches are none of its own.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    patch: int = 4
    convolutions: int = 2
    channels: int = 32
    positions: str = "sinusoidal"
    grid: Sequence[int] = (14, 14)
    class_tokens: int = 0
    class_places: bool = False
    patch_bias: bool = True
    embed_norm: bool = False
    mlp: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    activation: str = "gelu"
    key_bias: bool = False
    norm_first: bool = True
    epsilon: float = 1e-6
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def tokens(self, height: int, width: int) -> int:
        """How many tokens a picture gives."""
        return self.class_tokens + -(-height // self.patch) * -(-width // self.patch)

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        signal = jax.tree.map(jnp.asarray, signal)
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), **nn.position.within(self.positions), name="trunk")
        values = masks.zeroed(signal.values, signal.mask).astype(jnp.float32)
        if signal.values.dtype == jnp.uint8:
            values = values / 127.5 - 1
        values = values.astype(jnp.dtype(self.dtype))
        tokens = self._cut(values, signal) if values.ndim == 3 else self._whole(values, signal)
        if tokens.segments is None:
            tokens = nn.embed.ClassTokens(self.class_tokens, self.class_places, name="class")(tokens)
        if self.embed_norm:
            norm = nn.norm.features("layer", epsilon=self.epsilon, dtype=self.dtype, name="embed_norm")
            tokens = tokens.replace(values=masks.zeroed(norm(tokens.values), tokens.mask))
        if signal.kept is not None and self.convolutions:
            raise UserError("convolutions would look at hidden patches; set convolutions=0 of encoders.Image")
        return trunk(nn.kept.only(tokens, signal.kept), train=train)

    def _whole(self, values: Float[Array, "b h w c"], signal: Signal) -> Tokens:
        """Patches of pictures."""
        masks.unpacked(signal, of="encoders.Image of whole pictures")
        values = self._patches(values)
        values, places = nn.position.marked_2d(values, kind=self.positions, grid=self.grid)
        mask = jnp.broadcast_to(masks.present(signal.mask)[:, None], values.shape[:2])
        return Tokens(values, mask, positions=places)

    def _cut(self, values: Float[Array, "b n d"], signal: Signal) -> Tokens:
        """Patches that came as patches."""
        if self.convolutions or signal.positions is None or values.shape[2] % self.patch**2:
            raise UserError(
                f"encoders.Image(patch={self.patch}, convolutions={self.convolutions}) takes patches with their places "
                f"and convolutions=0; these have {values.shape[2]} numbers each"
            )
        if self.class_tokens and signal.segments is not None:
            raise UserError("class_tokens would be shared by the pictures of a packed row; set class_tokens=0")
        values = linen.Dense(self.width, self.patch_bias, dtype=jnp.dtype(self.dtype), name="embed")(values)
        values = nn.position.marked_at(values, signal.positions, kind=self.positions, grid=self.grid)
        places = signal.positions if self.positions in ("rotary", "relative") else None
        return Tokens(values, signal.mask, signal.segments, places)

    def _patches(self, values: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
        size, rest = divmod(self.patch, 2**self.convolutions)
        if rest or not size:
            raise UserError(
                f"patch={self.patch} is not a multiple of {2**self.convolutions}, by which "
                f"convolutions={self.convolutions} shrinks a picture; change one of them"
            )
        if self.convolutions:
            channels = nn.convolution.channels(self.channels, self.convolutions)
            values = nn.Stem(channels, dtype=self.dtype, name="stem")(values)
        values = nn.embed.patches(values, rows=size, columns=size)
        return linen.Dense(self.width, self.patch_bias, dtype=jnp.dtype(self.dtype), name="embed")(values)
