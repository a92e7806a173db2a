"""CoCa (Yu et al., 2022, https://arxiv.org/abs/2205.01917): one model that compares and captions, from one pass.

Its weights were not released; here are the network and its base size. ``objectives.CrossEntropy("next", weight=2)``
beside ``objectives.Contrastive()`` are the paper's losses. With ``match``, ``views.Mismatched`` and
``objectives.Matching`` it learns to tell pairs from what only looks like pairs, as ALBEF does.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen

from mmjax import nn
from mmjax.core import Factored, Outputs, Signal, Tokens, UserError, masks, plain
from mmjax.encoders import Image
from mmjax.fusion import Towers
from mmjax.heads import Temperature


class CoCa(linen.Module):
    """An encoder of pictures, sounds or anything, and a text decoder in two halves: only the second one sees.

    The ``encoder`` of modality ``seen`` is asked by ``queries`` learned ones, and what these found by one more. The
    first ``depth`` layers read the words alone; a learned token behind them sums them up. The last ``upper`` layers
    look at what the queries found, too, and tell at every place the next word, as ``Factored`` head ``head``.
    ``fused`` is a vector of length 1 and width ``space`` a modality, in the order of names, and head ``scale`` says how
    sharply they are compared (``heads.Temperature``). With ``match`` head ``match`` says from the last word, which has
    seen all, whether words and picture belong together: ``b 2``.

    An absent picture is masked: its words are told from words alone. Initialise with both. Raises UserError for packed
    rows, and where there are no words.
    """

    encoder: linen.Module
    vocabulary: int
    seen: str = "image"
    length: int = 77
    width: int = 768
    depth: int = 12
    upper: int = 12
    heads: int = 12
    queries: int = 256
    space: int = 512
    match: bool = False
    mlp: float = 4.0
    dropout: float = 0.0
    stddev: float = 0.02
    stream: str = "text"
    head: str = "next"
    scan: bool = False
    remat: str = "keep"
    dtype: str = "float32"

    def setup(self) -> None:
        normal, dtype = linen.initializers.normal(self.stddev), jnp.dtype(self.dtype)
        self.embed = linen.Embed(self.vocabulary, self.width, dtype=dtype, embedding_init=normal)
        self.position = nn.position.Learned(self.length, stddev=self.stddev)
        self.word = self.param("word_kernel", normal, (self.width, self.vocabulary))
        self.summary = self.param("summary", normal, (self.width,))
        self.query = self.param("query", normal, (self.queries, self.width))
        fields: dict[str, Any] = {**plain.common(nn.Trunk, self), "causal": True}
        self.lower_trunk = nn.Trunk(**fields)
        above: dict[str, Any] = {**fields, "depth": self.upper, "cross": 1}
        self.upper_trunk = nn.Trunk(**above)
        self.project = linen.Dense(self.width, dtype=dtype)
        self.attention = nn.Attention(self.heads, dtype=self.dtype)
        self.norm = nn.LayerNorm(dtype=dtype)
        self.towers = Towers(self.space, pool={self.seen: "attention"}, heads=self.heads, dtype=self.dtype)
        self.scale = Temperature()
        if self.match:
            self.matched = linen.Dense(2)

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        if self.stream not in inputs:
            raise UserError(f"zoo.CoCa reads {self.stream!r}, which is not given")
        signal = inputs[self.stream]
        masks.unpacked(signal, of="zoo.CoCa")
        streams = {self.seen: self._found(inputs[self.seen], train=train)} if self.seen in inputs else {}
        words, summary = self._read(signal, train=train)
        told = self.upper_trunk(words, train=train, memory=streams.get(self.seen))
        fused = self.towers({**streams, self.stream: summary}, train=train)
        heads: dict[str, Any] = {self.head: Factored(told.values, self.word)}
        heads["scale"] = self.scale(fused, train=train)
        if self.match:
            heads["match"] = self.matched(nn.pool.lasts(told).values[:, 0])
        return Outputs({**streams, self.stream: words}, fused, heads)

    def _found(self, signal: Signal, *, train: bool) -> Tokens:
        """What the queries find in the encoder's tokens: ``b queries width``."""
        encoder: Any = self.encoder
        tokens = encoder(signal, train=train)
        masks.unpacked(tokens, of="zoo.CoCa")
        values = self.project(masks.zeroed(tokens.values, tokens.mask))
        query = jnp.broadcast_to(self.query, (len(values), *self.query.shape)).astype(values.dtype)
        allowed = jnp.broadcast_to(tokens.mask[:, None, None], (len(values), 1, self.queries, tokens.mask.shape[1]))
        found = self.norm(self.attention(query, values, allowed=allowed))
        here = jnp.broadcast_to(masks.present(tokens.mask)[:, None], found.shape[:2])
        return Tokens(masks.zeroed(found, here), here)

    def _read(self, signal: Signal, *, train: bool) -> tuple[Tokens, Tokens]:
        """The words after the first half, and one token that stands behind the last of them and has seen all."""
        mask = jnp.asarray(signal.mask)
        if mask.shape[1] > self.length:
            raise UserError(f"{mask.shape[1]} tokens do not fit the context of length={self.length}")
        values = self.embed(jnp.where(mask, signal.values, 0))
        values += self.position(jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape), self.width).astype(
            values.dtype
        )
        last = jnp.broadcast_to(self.summary, (len(mask), 1, self.width)).astype(values.dtype)
        here = masks.present(mask)[:, None]
        both = Tokens(jnp.concatenate([values, last], axis=1), jnp.concatenate([mask, here], axis=1))
        read = self.lower_trunk(both, train=train).values
        return Tokens(read[:, :-1], mask), Tokens(read[:, -1:], here)


def base(vocabulary: int = 64_000) -> CoCa:
    """383 million parameters, poolers apart, for pictures of 288 pixels: ViT-B/18 and two halves of 12 layers."""
    encoder = Image(width=768, depth=12, heads=12, patch=18, convolutions=0, positions="learned", grid=(16, 16))
    return CoCa(encoder, vocabulary, space=768)
