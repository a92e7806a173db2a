"""Learned queries that talk among themselves and, now and then, look at other tokens."""

from typing import Any

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool

from mmjax.core import Tokens, masks, plain
from mmjax.nn.attention import Attention
from mmjax.nn.cross import CrossBlock
from mmjax.nn.feature import LayerNorm


def asked(module: Any, context: Tokens, here: Bool[Array, " b"], *, train: bool) -> Tokens:
    """What the queries found out, in the rows that are ``here``: the querying transformer of BLIP-2.

    In every layer the queries look at each other; in the first and each ``every``-th after it they also look at
    ``context``, between self-attention and MLP. Pre-LN. (Li et al., 2023, https://arxiv.org/abs/2301.12597.)

    ``module``, which is being called, holds the parameters and has as fields ``queries``, ``width``, ``depth``,
    ``every``, and those of ``nn.CrossBlock``.
    """
    dtype = jnp.dtype(module.dtype)
    start = module.param("queries_start", linen.initializers.normal(0.5), (module.queries, module.width)).astype(dtype)
    mask = jnp.broadcast_to(here[:, None], (len(here), module.queries))
    tokens = Tokens(jnp.broadcast_to(start, (len(here), *start.shape)), mask)
    for i in range(module.depth):
        among = LayerNorm(dtype=dtype, name=f"norm_{i}")(tokens.values)
        among = Attention(module.heads, dtype=module.dtype, name=f"attention_{i}")(among)
        among = linen.Dropout(module.dropout, deterministic=not train)(among)
        block = CrossBlock(**plain.common(CrossBlock, module), name=f"block_{i}")
        tokens = tokens.replace(values=tokens.values + among)
        tokens = block(tokens, context if i % module.every == 0 else None, train=train)
    values = LayerNorm(dtype=dtype, name="norm")(tokens.values)
    return tokens.replace(values=masks.zeroed(values, mask))
