"""CLIP (Radford et al., 2021, https://arxiv.org/abs/2103.00020): pictures and texts as vectors of one space.

``outputs.fused`` holds a unit vector of the picture and one of the text, ``heads["scale"]`` what their products are
multiplied by; ``objectives.Contrastive(("image", "text"))`` trains it on. Published weights want pixels as floats from
0 to 1, less ``MEAN`` and divided by ``STD``, and texts that begin and end with the tokens of CLIP's ``tokenizer.json``,
with which the mask ends.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.core import Signal
from mmjax.encoders import Image, Text
from mmjax.fusion import Towers
from mmjax.heads import Temperature
from mmjax.model import Multimodal
from mmjax.zoo import weight
from mmjax.zoo.weight import Account, Origin

IMAGE, TEXT = "image", "text"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def base_32() -> Multimodal:
    """ViT-B/32: 151,277,313 parameters."""
    return model(patch=32, grid=7)


def base_16() -> Multimodal:
    """ViT-B/16: 149,620,737 parameters."""
    return model(patch=16, grid=14)


def large_14() -> Multimodal:
    """ViT-L/14: 427,616,513 parameters."""
    return model(patch=14, grid=16, width=1024, depth=24, heads=16, text_width=768, text_heads=12, space=768)


def large_14_336() -> Multimodal:
    """ViT-L/14 of pictures with 336 pixels: 427,944,193 parameters."""
    return model(patch=14, grid=24, width=1024, depth=24, heads=16, text_width=768, text_heads=12, space=768)


def model(
    *,
    patch: int,
    grid: int,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    text_width: int = 512,
    text_depth: int = 12,
    text_heads: int = 8,
    space: int = 512,
    vocabulary: int = 49_408,
    length: int = 77,
    scan: bool = False,
) -> Multimodal:
    """A CLIP of other sizes: pictures of ``grid`` by ``grid`` patches, vectors of ``space`` numbers."""
    alike: dict[str, Any] = {"activation": "quick_gelu", "key_bias": True, "epsilon": 1e-5, "positions": "learned"}
    image = Image(
        width=width, depth=depth, heads=heads, patch=patch, convolutions=0, grid=(grid, grid), class_tokens=1,
        class_places=True, patch_bias=False, embed_norm=True, scan=scan, **alike,
    )  # fmt: skip
    text = Text(
        vocabulary, width=text_width, depth=text_depth, heads=text_heads, length=length, causal=True, scan=scan, **alike
    )
    return Multimodal(
        encoders={IMAGE: image, TEXT: text},
        fusion=Towers(space, pool={IMAGE: "first", TEXT: "last"}),
        heads={"scale": Temperature()},
    )


def inputs(model: Multimodal) -> dict[str, Signal]:
    """The smallest that the model takes, by which its parameters are known."""
    encoder: Any = model.encoders[IMAGE]
    picture = jnp.zeros((1, encoder.patch, encoder.patch, 3))
    one = jnp.ones((1, 1), bool)
    return {IMAGE: Signal(picture, one), TEXT: Signal(jnp.zeros((1, 1), jnp.int32), one)}


def adopt(tensors: Mapping[str, Any], model: Multimodal) -> tuple[dict[str, Any], Account]:
    """Released weights (transformers' names) as parameters of ``model``. UserError where one is missing.

    Some released files also hold the numbers of positions (``position_ids``), which are listed as extra.
    """
    return weight.adopt(tensors, model, origins(model), inputs=inputs(model))


def release(params: Any, model: Multimodal, *, kept: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files. kept: tensors that go back as they came, as extra ones."""
    found = weight.release(params, origins(model))
    return found | {name: np.asarray(value) for name, value in (kept or {}).items()}


_WHOLE = {
    "encoders_image/class/token": Origin(("vision_model.embeddings.class_embedding",), shape=(-1,)),
    "encoders_text/embed/embedding": Origin(("text_model.embeddings.token_embedding.weight",)),
    "encoders_text/position/embedding": Origin(("text_model.embeddings.position_embedding.weight",)),
    "fusion/project_image/kernel": Origin(("visual_projection.weight",), transposed=True),
    "fusion/project_text/kernel": Origin(("text_projection.weight",), transposed=True),
    "heads_scale/log_scale": Origin(("logit_scale",)),
}
_SIDES = {"encoders_image": "vision_model", "encoders_text": "text_model"}
_NORMS = {
    "encoders_image/embed_norm": "vision_model.pre_layrnorm",
    "encoders_image/trunk/norm": "vision_model.post_layernorm",
    "encoders_text/trunk/norm": "text_model.final_layer_norm",
}
_PARTS = {"attention_norm": "layer_norm1", "mlp_norm": "layer_norm2", "mlp/up": "mlp.fc1", "mlp/down": "mlp.fc2"}
_PARTS |= {f"attention/{ours}": f"self_attn.{ours[0]}_proj" for ours in ("query", "key", "value")}
_PARTS["attention/out"] = "self_attn.out_proj"


def origins(model: Multimodal) -> Callable[[str], Origin | None]:
    """For each of our leaves the released tensor."""
    encoder: Any = model.encoders[IMAGE]
    rows, columns = encoder.grid
    places = "vision_model.embeddings.position_embedding.weight"
    whole = _WHOLE | {
        "encoders_image/embed/kernel": Origin(("vision_model.embeddings.patch_embedding.weight",), patch=encoder.patch),
        "encoders_image/class/position": Origin((places,), rows=(0, 1)),
        "encoders_image/position/embedding": Origin((places,), rows=(1, 1 + rows * columns)),
    }

    return lambda path: whole.get(path) or layer(path, _SIDES, _NORMS)


def layer(path: str, sides: Mapping[str, str], norms: Mapping[str, str]) -> Origin | None:
    """The released tensor of a leaf of a tower's layers, or of a norm beside them; by ours what theirs are called."""
    part, _, leaf = path.rpartition("/")
    end = "bias" if leaf == "bias" else "weight"
    if part in norms:
        return Origin((f"{norms[part]}.{end}",))
    found = re.fullmatch(r"(.+)/trunk/block_(\d+)/(.+)", part)
    if found is None or found[1] not in sides or found[3] not in _PARTS:
        return None
    name = f"{sides[found[1]]}.encoder.layers.{found[2]}.{_PARTS[found[3]]}.{end}"
    return Origin((name,), transposed=leaf == "kernel")
