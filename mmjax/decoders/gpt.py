"""The GPT family: one network, whose evolution is a difference of a few fields."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Factored, Outputs, Signal, Tokens, UserError, masks, plain

POSITIONS = ("learned", "shared", "rotary")


class GPT(linen.Module):
    """At every place of a text, logits of the word that comes next, as ``Factored`` head ``head``.

    As it stands it is GPT-2 (Radford et al., 2019,
    https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf):

    ========== ============================================================================================
    GPT-1      ``norm_first=False, outer_norm=False, positions="shared", residual=False, position_stddev=0.02``
    GPT-2      none
    GPT-3      ``head_size=..., bands=(0, n)``: layers look back by turns on everything and on the nearest n
    modern     ``norm="rms", positions="rotary", activation="silu", gated=True, bias=False, kv_heads=..., tied=False``
    ========== ============================================================================================

    ``length`` is the context: as many positions are learned, in a table of their own, or as rows of the ``shared``
    matrix of words, behind these. ``tied``: the words' vectors are the output, too. ``stddev``: of what kernels and
    words begin with; ``residual``: kernels that add to what goes past begin smaller, by 1 / sqrt(2 x depth). Dropout
    acts on what is embedded and on what each branch adds. Other fields are those of ``nn.Trunk``.

    ``cross`` and ``cross_gate`` are for a ``memory`` that its layers look at, too: with ``cross=1`` it is the decoder
    of an encoder-decoder. ``embedded`` and ``continued`` are its two halves, for what is no word (``decoders.Talker``).
    """

    vocabulary: int
    length: int = 1024
    width: int = 768
    depth: int = 12
    heads: int = 12
    kv_heads: int = 0
    head_size: int = 0
    mlp: float = 4.0
    experts: int = 0
    chosen: int = 2
    capacity: float = 1.25
    balance: float = 0.01
    dropout: float = 0.0
    positions: str = "learned"
    bands: tuple[int, ...] = ()
    cross: int = 0
    cross_gate: bool = False
    activation: str = "gelu_tanh"
    gated: bool = False
    bias: bool = True
    key_bias: bool = True
    norm: str = "layer"
    norm_first: bool = True
    outer_norm: bool = True
    epsilon: float = 1e-5
    tied: bool = True
    stddev: float = 0.02
    position_stddev: float = 0.01
    residual: bool = True
    stream: str = "text"
    head: str = "next"
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def setup(self) -> None:
        if self.positions not in POSITIONS:
            raise UserError(
                f"positions is {self.positions!r}; it can be {', '.join(POSITIONS[:-1])} or {POSITIONS[-1]}"
            )
        normal, dtype = linen.initializers.normal(self.stddev), jnp.dtype(self.dtype)
        rows = self.vocabulary + (self.length if self.positions == "shared" else 0)
        self.embed = linen.Embed(rows, self.width, dtype=dtype, embedding_init=normal)
        if self.positions == "learned":
            self.position = nn.position.Learned(self.length, stddev=self.position_stddev)
        if not self.tied:
            self.word = self.param("word_kernel", normal, (self.width, self.vocabulary))
        fields: dict[str, Any] = {**plain.common(nn.Trunk, self), "causal": True}
        shrink = (2 * max(self.depth, 1)) ** -0.5 if self.residual else 1.0
        self.trunk = nn.Trunk(**fields, rotary=self.positions == "rotary", shrink=shrink)
        self.drop = linen.Dropout(self.dropout)

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool, slots: int = 0) -> Outputs:
        """slots: keys and values are kept in as many (``nn.cache``)."""
        return self.continued(self.embedded(inputs[self.stream], train=train), train=train, slots=slots)

    def embedded(self, signal: Signal, *, train: bool, filled: Tokens | None = None) -> Tokens:
        """Words at their places, before the first layer; where ``filled`` has a token, that token in place of the word.

        Raises UserError where a row is longer than the context.
        """
        if signal.values.shape[1] > self.length and signal.positions is None and self.positions != "rotary":
            raise UserError(f"{signal.values.shape[1]} tokens do not fit the context of length={self.length}")
        mask = jnp.asarray(signal.mask)
        ids = jnp.where(mask, signal.values, 0)
        positions = signal.positions
        if positions is None:
            positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        values = self.embed(ids)
        if filled is not None:
            values = jnp.where(filled.mask[..., None], filled.values.astype(values.dtype), values)
        if self.positions == "learned":
            values += self.position(positions, self.width).astype(values.dtype)
        if self.positions == "shared":
            values += self.embed(self.vocabulary + jnp.minimum(positions, self.length - 1))
        values = self.drop(values, deterministic=not train)
        return Tokens(masks.zeroed(values, mask), mask, signal.segments, positions)

    def continued(self, tokens: Tokens, *, train: bool, slots: int = 0, memory: Tokens | None = None) -> Outputs:
        """What follows after each token, given a ``memory`` for ``cross``. slots: as of a call."""
        seen = self.trunk(tokens, train=train, slots=slots, memory=memory)
        kernel = self.embed.embedding[: self.vocabulary].T if self.tied else self.word
        return Outputs({self.stream: tokens}, seen, {self.head: Factored(seen.values, kernel)})
