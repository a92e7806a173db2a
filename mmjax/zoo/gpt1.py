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


def release(params: Any, model: GPT) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files, where words and positions have a tensor each."""
    return weight.release(params, origin, rows={"tokens_embed.weight": model.vocabulary})


def origin(path: str) -> Origin | None:
    """The released tensors of one of our leaves."""
    if path == "embed/embedding":
        return Origin(("tokens_embed.weight", "positions_embed.weight"))
    return gpt2.layer(path)
