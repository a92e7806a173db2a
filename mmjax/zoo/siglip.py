"""SigLIP (Zhai et al., 2023, https://arxiv.org/abs/2303.15343): vectors of pictures and texts, learned pair by pair.

As ``zoo.clip``, to be trained by ``objectives.Contrastive(("image", "text"), kind="sigmoid")``; ``heads["scale"]`` says
what products are multiplied by and what is added. Published weights want pixels from -1 to 1, as ``encoders.Image``
makes them of bytes, and texts filled up to ``length`` with the tokenizer's own padding, the mask True throughout.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax import nn
from mmjax.core import Signal
from mmjax.encoders import Chain, Image, Text
from mmjax.fusion import Towers
from mmjax.heads import Temperature
from mmjax.model import Multimodal
from mmjax.zoo import clip, weight
from mmjax.zoo.weight import Account, Origin

IMAGE, TEXT = clip.IMAGE, clip.TEXT


def base_16() -> Multimodal:
    """ViT-B/16 of pictures with 224 pixels: 203,155,970 parameters."""
    return model(patch=16, grid=14)


def large_16() -> Multimodal:
    """ViT-L/16 of pictures with 256 pixels: 652,150,786 parameters."""
    return model(patch=16, grid=16, width=1024, depth=24, heads=16)


def so400m_14() -> Multimodal:
    """The size of best shape, of pictures with 384 pixels: 877,960,498 parameters."""
    return model(patch=14, grid=27, width=1152, depth=27, heads=16, mlp=4304 / 1152)


def model(
    *,
    patch: int,
    grid: int,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp: float = 4.0,
    vocabulary: int = 32_000,
    length: int = 64,
    scan: bool = False,
) -> Multimodal:
    """A SigLIP of other sizes: both towers alike, pictures of ``grid`` by ``grid`` patches."""
    alike: dict[str, Any] = {"heads": heads, "mlp": mlp, "activation": "gelu_tanh", "key_bias": True}
    tower: dict[str, Any] = {**alike, "width": width, "depth": depth, "positions": "learned", "scan": scan}
    image = Image(patch=patch, convolutions=0, grid=(grid, grid), **tower)
    return Multimodal(
        encoders={IMAGE: Chain(image, nn.Probe(**alike)), TEXT: Text(vocabulary, length=length, **tower)},
        fusion=Towers(width, pool={IMAGE: "first", TEXT: "last"}, bare=(IMAGE,), bias=True),
        heads={"scale": Temperature(start=10.0, largest=1e4, bias=-10.0)},
    )


def inputs(model: Multimodal) -> dict[str, Signal]:
    """The smallest that the model takes, by which its parameters are known."""
    patch, one = _front(model).patch, jnp.ones((1, 1), bool)
    return {IMAGE: Signal(jnp.zeros((1, patch, patch, 3)), one), TEXT: Signal(jnp.zeros((1, 1), jnp.int32), one)}


def adopt(tensors: Mapping[str, Any], model: Multimodal) -> tuple[dict[str, Any], Account]:
    """Released weights (transformers' names) as parameters of ``model``. UserError where one is missing."""
    return weight.adopt(tensors, model, origins(model), inputs=inputs(model))


def release(params: Any, model: Multimodal, *, kept: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files. kept: tensors that go back as they came, as extra ones."""
    found = weight.release(params, origins(model))
    return found | {name: np.asarray(value) for name, value in (kept or {}).items()}


_WHOLE = {
    "encoders_image/front/embed/bias": Origin(("vision_model.embeddings.patch_embedding.bias",)),
    "encoders_image/front/position/embedding": Origin(("vision_model.embeddings.position_embedding.weight",)),
    "encoders_image/trunk/query": Origin(("vision_model.head.probe",), shape=(1, 1, -1)),
    "encoders_image/trunk/attention/out/kernel": Origin(
        ("vision_model.head.attention.out_proj.weight",), transposed=True
    ),
    "encoders_image/trunk/attention/out/bias": Origin(("vision_model.head.attention.out_proj.bias",)),
    "encoders_text/embed/embedding": Origin(("text_model.embeddings.token_embedding.weight",)),
    "encoders_text/position/embedding": Origin(("text_model.embeddings.position_embedding.weight",)),
    "fusion/project_text/kernel": Origin(("text_model.head.weight",), transposed=True),
    "fusion/project_text/bias": Origin(("text_model.head.bias",)),
    "heads_scale/log_scale": Origin(("logit_scale",), shape=(1,)),
    "heads_scale/added": Origin(("logit_bias",), shape=(1,)),
}
for _ours, _theirs in (("up", "fc1"), ("down", "fc2")):
    _name = f"vision_model.head.mlp.{_theirs}"
    _WHOLE[f"encoders_image/trunk/mlp/{_ours}/kernel"] = Origin((f"{_name}.weight",), transposed=True)
    _WHOLE[f"encoders_image/trunk/mlp/{_ours}/bias"] = Origin((f"{_name}.bias",))
_SIDES = {"encoders_image/front": "vision_model", "encoders_text": "text_model"}
_NORMS = {
    "encoders_image/front/trunk/norm": "vision_model.post_layernorm",
    "encoders_image/trunk/mlp_norm": "vision_model.head.layernorm",
    "encoders_text/trunk/norm": "text_model.final_layer_norm",
}


def origins(model: Multimodal) -> Callable[[str], Origin | None]:
    """For each of our leaves the released tensor; the probe's query, key and value are the rows of one."""
    front = _front(model)
    places = "vision_model.embeddings.patch_embedding.weight"
    whole = {**_WHOLE, "encoders_image/front/embed/kernel": Origin((places,), patch=front.patch)}
    for i, name in enumerate(("query", "key", "value")):
        rows = (i * front.width, (i + 1) * front.width)
        for leaf, theirs in (("kernel", "weight"), ("bias", "bias")):
            path = f"encoders_image/trunk/attention/{name}/{leaf}"
            packed = (f"vision_model.head.attention.in_proj_{theirs}",)
            whole[path] = Origin(packed, rows=rows, transposed=leaf == "kernel")
    return lambda path: whole.get(path) or clip.layer(path, _SIDES, _NORMS)


def _front(model: Multimodal) -> Any:
    """The transformer of pictures, before the probe."""
    chain: Any = model.encoders[IMAGE]
    return chain.front
