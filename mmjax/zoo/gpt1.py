"""GPT-1 (Radford et al., 2018, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.decoders import GPT
from mmjax.zoo import gpt2, weight
from mmjax.zoo.weight import Account, Origin


def model(**fields: Any) -> GPT:
    """116,534,784 parameters: 12 layers with norms last and none after them; positions are rows behind the words'."""
    own: dict[str, Any] = {
        "vocabulary": 40_478,
        "length": 512,
        "norm_first": False,
        "outer_norm": False,
        "positions": "shared",
        "residual": False,
        "dropout": 0.1,
    }
    return GPT(**own | fields)


def adopt(tensors: Mapping[str, Any], model: GPT) -> tuple[dict[str, Any], Account]:
    """Released weights (transformers' names) as parameters of ``model``. UserError where one is missing."""
    found = gpt2.bare(tensors)
    if np.array_equal(found.get("lm_head.weight"), found.get("tokens_embed.weight")):  # pyright: ignore[reportArgumentType]
        found.pop("lm_head.weight", None)
    return weight.adopt(found, model, origin)


def grown(tensors: Mapping[str, Any], words: int, *, seed: int = 0) -> dict[str, Any]:
    """Released weights with so many words more, drawn as new ones are: what fine-tuning begins with.

    With 3, for start, delimiter and extract (``tokenizers.Delimited``), ``model(vocabulary=40_481)`` adopts them.
    """
    own = dict(tensors)
    (name,) = (name for name in own if name.endswith("tokens_embed.weight"))
    table = np.asarray(own[name])
    new = np.random.default_rng(seed).normal(0, 0.02, (words, table.shape[1]))
    own = {other: value for other, value in own.items() if other != "lm_head.weight"}  # the same table once more
    return own | {name: np.concatenate([table, new.astype(table.dtype)])}


def release(params: Any, model: GPT, *, like: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files, where words and positions have a tensor each.

    like: as of ``gpt2.release``.
    """
    found = weight.release(params, origin, rows={"tokens_embed.weight": model.vocabulary})
    tied = {"lm_head.weight": "tokens_embed.weight"}
    return found if like is None else weight.named(found, like, prefix=gpt2.PREFIX, tied=tied)


def origin(path: str) -> Origin | None:
    """The released tensors of one of our leaves."""
    if path == "embed/embedding":
        return Origin(("tokens_embed.weight", "positions_embed.weight"))
    return gpt2.layer(path)
