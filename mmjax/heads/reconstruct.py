"""What stood where an encoder was not to look."""

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from mmjax import nn
from mmjax.core import Tokens, masks, plain


class Reconstruct(linen.Module):
    """The light decoder of a masked autoencoder (MAE, He et al., 2021, https://arxiv.org/abs/2111.06377): ``numbers``
    for each token of ``stream``, hidden ones included, ``b n numbers`` in float32, without its ``class_tokens``.

    Tokens that were kept (``views.Hide``) are put back among learned ones that stand for the hidden, all get a learned
    position, and ``depth`` layers of ``width`` let them see each other. A stream of which nothing was hidden is read as
    it is. How many tokens it has is fixed at initialisation.

    listens: every token begins as a hidden one instead, and looks at what is fused of all modalities (as in MultiMAE,
    Bachmann et al., 2022, https://arxiv.org/abs/2204.01678), so that ``fusion.Joint`` is what has to know. Raises
    UserError for packed rows.
    """

    numbers: int
    stream: str = ""
    listens: bool = False
    class_tokens: int = 0
    width: int = 32
    depth: int = 1
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, tokens: Tokens, *, train: bool, memory: Tokens | None = None) -> Float[Array, "b n p"]:
        masks.unpacked(tokens, of="heads.Reconstruct")
        dtype = jnp.dtype(self.dtype)
        blank = self.param("blank", linen.initializers.normal(0.02), (self.width,))
        embed = linen.Dense(self.width, dtype=dtype, name="embed")
        if self.listens and memory is not None:
            memory = self._embedded(embed, memory)
            mask = tokens.mask if tokens.kept is None else tokens.kept.mask
            values = jnp.broadcast_to(blank.astype(dtype), (*mask.shape, self.width))
        else:
            values, mask = nn.kept.restored(self._embedded(embed, tokens), blank)
        places = nn.position.Learned(mask.shape[1], name="position")(jnp.arange(mask.shape[1]), self.width)
        trunk = nn.Trunk(**plain.common(nn.Trunk, self), cross=int(self.listens), name="trunk")
        seen = trunk(Tokens(values + places.astype(dtype), mask), train=train, memory=memory)
        said = linen.Dense(self.numbers, name="project")(seen.values.astype(jnp.float32))
        return masks.zeroed(said, mask)[:, self.class_tokens :]

    def _embedded(self, embed: linen.Module, tokens: Tokens) -> Tokens:
        values = embed(masks.zeroed(tokens.values, tokens.mask))  # pyright: ignore[reportCallIssue]
        return tokens.replace(values=masks.zeroed(values, tokens.mask))
