"""What GPTs have become: RMS norms, rotary positions, SwiGLU, grouped queries, no biases, an output of its own.

Llama 2 (Touvron et al., 2023, https://arxiv.org/abs/2307.09288) is the size with published counts.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.decoders import GPT
from mmjax.zoo import weight
from mmjax.zoo.weight import Account, Origin

_ATTENTION = (("query", "q"), ("key", "k"), ("value", "v"), ("out", "o"))
_FIELDS: dict[str, Any] = {
    "norm": "rms",
    "positions": "rotary",
    "activation": "silu",
    "gated": True,
    "bias": False,
    "tied": False,
}


def small(**fields: Any) -> GPT:
    """GPT-2's smallest as one would build it now: 12 layers, 768 wide, 12 heads in 4 groups, an MLP 2,048 wide."""
    size = {"vocabulary": 50_257, "length": 1024, "kv_heads": 4, "mlp": 8 / 3, "tied": True}
    return GPT(**_FIELDS | size | fields)


def llama2_7b(**fields: Any) -> GPT:
    """6,738,415,616 parameters."""
    size = {"vocabulary": 32_000, "length": 4096, "depth": 32, "width": 4096, "heads": 32, "mlp": 11_008 / 4096}
    return GPT(**_FIELDS | size | fields)


def llama2_70b(**fields: Any) -> GPT:
    """68,976,648,192 parameters."""
    size = {"vocabulary": 32_000, "length": 4096, "depth": 80, "width": 8192, "heads": 64, "mlp": 3.5, "kv_heads": 8}
    return GPT(**_FIELDS | size | fields)


def adopt(tensors: Mapping[str, Any], model: GPT) -> tuple[dict[str, Any], Account]:
    """Released weights of Llama (transformers' names) as parameters of ``model``. UserError where one is missing."""
    return weight.adopt(tensors, model, origin)


def release(params: Any) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files."""
    return weight.release(params, origin)


def origin(path: str) -> Origin | None:
    """The released tensor of one of our leaves."""
    whole = {"embed/embedding": "model.embed_tokens.weight", "trunk/norm/scale": "model.norm.weight"}
    if path in whole:
        return Origin((whole[path],))
    if path == "word_kernel":
        return Origin(("lm_head.weight",), transposed=True)
    found = re.fullmatch(r"trunk/block_(\d+)/(.+)/(?:kernel|scale)", path)
    names = {f"attention/{ours}": f"self_attn.{theirs}_proj" for ours, theirs in _ATTENTION}
    names |= {f"mlp/{name}": f"mlp.{name}_proj" for name in ("gate", "up", "down")}
    names |= {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    if found is None or found[2] not in names:
        return None
    kernel = path.endswith("kernel")
    return Origin((f"model.layers.{found[1]}.{names[found[2]]}.weight",), transposed=kernel)
