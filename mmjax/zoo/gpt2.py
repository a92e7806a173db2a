"""GPT-2 (Radford et al., 2019), of which `decoders.GPT` has the defaults.

https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.decoders import GPT
from mmjax.zoo import weight
from mmjax.zoo.weight import Account, Origin

PREFIX = "transformer."


def small(**fields: Any) -> GPT:
    """124,439,808 parameters."""
    return _model(12, 768, 12, fields)


def medium(**fields: Any) -> GPT:
    """354,823,168 parameters."""
    return _model(24, 1024, 16, fields)


def large(**fields: Any) -> GPT:
    """774,030,080 parameters."""
    return _model(36, 1280, 20, fields)


def xl(**fields: Any) -> GPT:
    """1,557,611,200 parameters."""
    return _model(48, 1600, 25, fields)


def _model(depth: int, width: int, heads: int, fields: dict[str, Any]) -> GPT:
    own = {"vocabulary": 50_257, "length": 1024, "depth": depth, "width": width, "heads": heads, "dropout": 0.1}
    return GPT(**own | fields)


def adopt(tensors: Mapping[str, Any], model: GPT) -> tuple[dict[str, Any], Account]:
    """Released weights (transformers' names, with or without ``transformer.``) as parameters of ``model``.

    Released files also hold causal masks (``attn.bias``), which are listed as extra. UserError where one is missing.
    """
    return weight.adopt(bare(tensors), model, origin)


def release(params: Any, *, like: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files.

    like: a file's tensors as they were read, whose names these get, beside those that no parameter is made of.
    """
    found = weight.release(params, origin)
    return found if like is None else weight.named(found, like, prefix=PREFIX, tied={"lm_head.weight": "wte.weight"})


def bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors without the prefix, and without the output that is the words' table once more."""
    found = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    if "lm_head.weight" in found and np.array_equal(found["lm_head.weight"], found.get("wte.weight")):  # pyright: ignore[reportArgumentType]
        del found["lm_head.weight"]
    return found


def origin(path: str) -> Origin | None:
    """The released tensor of one of our leaves."""
    whole = {"embed/embedding": "wte.weight", "position/embedding": "wpe.weight"}
    whole |= {"trunk/norm/scale": "ln_f.weight", "trunk/norm/bias": "ln_f.bias"}
    return Origin((whole[path],)) if path in whole else layer(path)


def layer(path: str) -> Origin | None:
    """The released tensor of a leaf of a layer, in GPT-1 and GPT-2: inputs first; query, key and value as one."""
    found = re.fullmatch(r"trunk/block_(\d+)/(.+)/(kernel|bias|scale)", path)
    if found is None:
        return None
    number, part, leaf = found.groups()
    end = "bias" if leaf == "bias" else "weight"
    thirds = ("attention/query", "attention/key", "attention/value")
    if part in thirds:
        return Origin((f"h.{number}.attn.c_attn.{end}",), (thirds.index(part), 3))
    names = {"attention/out": "attn.c_proj", "mlp/up": "mlp.c_fc", "mlp/down": "mlp.c_proj"}
    names |= {"attention_norm": "ln_1", "mlp_norm": "ln_2"}
    return Origin((f"h.{number}.{names[part]}.{end}",)) if part in names else None
