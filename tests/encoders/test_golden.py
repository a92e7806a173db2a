"""Transformer encoders against transformers' own, given the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, trees
from tools.golden import weight

SMALL = {"width": 16, "depth": 2, "heads": 2, "mlp": 2.0}
# transformers' names, with dots turned to slashes, to ours.
BLOCK = [
    (r"^(encoder/)?layers?/(\d)", r"trunk/block_\2"),
    (r"(attention/attention|attention/self|self_attn|attention)/(query|q_proj)/", "attention/query/"),
    (r"(attention/attention|attention/self|self_attn|attention)/(key|k_proj)/", "attention/key/"),
    (r"(attention/attention|attention/self|self_attn|attention)/(value|v_proj)/", "attention/value/"),
    (r"(attention/output/dense|attention/o_proj|self_attn/out_proj|attention/out_proj)/", "attention/out/"),
    (r"(intermediate/dense|mlp/fc1|^(trunk/block_\d)/fc1|feed_forward/intermediate_dense)/", r"\2/mlp/up/"),
    (r"((?<!attention/)output/dense|mlp/fc2|^(trunk/block_\d)/fc2|feed_forward/output_dense)/", r"\2/mlp/down/"),
    (r"(layernorm_before|self_attn_layer_norm|attention/output/LayerNorm)/", "attention_norm/"),
    (r"(layernorm_after|final_layer_norm|(?<!attention/)output/LayerNorm)/", "mlp_norm/"),
    (r"^(encoder/)?(layernorm|layer_norm|embeddings/LayerNorm)/", "trunk/norm/"),
    (r"//", "/"),
    (r"norm(_\d)?/weight$", r"norm\1/scale"),
    (r"/weight$", "/kernel"),
]
PICTURE = [
    (r"^embeddings/cls_token$", "class/token"),
    (r"^embeddings/position_embeddings$", "position/embedding"),
    (r"^embeddings/patch_embeddings/projection", "embed"),
    *BLOCK,
]
WAVE = [
    (r"^masked_spec_embed$", ""),
    (r"^feature_extractor/conv_layers/(\d)/conv", r"convolution_\1"),
    (r"^feature_extractor/conv_layers/(\d)/layer_norm", r"norm_\1"),
    (r"^feature_projection/layer_norm", "embed_norm"),
    (r"^feature_projection/projection", "embed"),
    (r"^encoder/pos_conv_embed/conv", "position"),
]
# Where norms come last the one after attention has the name that is the trunk's elsewhere.
WAVE_GROUP = [*WAVE, (r"^(encoder/layers/\d)/layer_norm", r"\1/self_attn_layer_norm"), *BLOCK]
WAVE_LAYER = [*WAVE, (r"/layer_norm/", "/layernorm_before/"), (r"^encoder/layernorm_before", "layernorm"), *BLOCK]
WORDS = [
    (r"^embeddings/word_embeddings/weight", "embed/embedding"),
    (r"^embeddings/position_embeddings/weight", "position/embedding"),
    *BLOCK,
]
WHISPER = [(r"^embed_positions/weight$", ""), (r"^conv(\d)", r"convolution_\1"), (r"_1", "_0"), (r"_2", "_1"), *BLOCK]


def agrees(name, module, signal, weights, rules, expected):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), signal, train=False))["params"]
    params = weight.renamed(weights, rules, {path: leaf.shape for path, leaf in trees.flatten(shapes).items()})
    out = jax.jit(lambda params: module.apply({"params": params}, signal, train=False))(params)
    real = np.asarray(out.mask)
    if out.mask.shape == signal.mask.shape:
        np.testing.assert_array_equal(real, signal.mask)
    assert real.any()
    assert weight.error(np.asarray(out.values)[real], expected[real]) <= 1e-5, name


def classed(weights, *names):
    """Class tokens with their positions already added: the positions left are those of the patches."""
    weights = dict(weights)
    places = weights.pop("embeddings.position_embeddings")[0]
    tokens = np.concatenate([weights.pop(f"embeddings.{name}")[0] for name in names]) + places[: len(names)]
    return {
        **weights,
        "embeddings.cls_token": tokens,
        "embeddings.position_embeddings": places[len(names) :],
    }


def whole(values, length):
    return Signal(jnp.asarray(values), jnp.ones((len(values), length), bool))


def test_image_is_vit():
    arrays, weights = weight.read("vit")
    module = encoders.Image(
        **SMALL, patch=4, convolutions=0, positions="learned", grid=(3, 2), class_tokens=1, key_bias=True, epsilon=1e-12
    )
    weights = classed(weights, "cls_token")
    agrees("vit", module, whole(arrays["pictures"], 1), weights, PICTURE, arrays["tokens"])


def test_spectrogram_is_ast():
    arrays, weights = weight.read("ast")
    module = encoders.Spectrogram(**SMALL, mels=12, patch=4, stride=3, grid=(3, 7), key_bias=True, epsilon=1e-12)
    weights = classed(weights, "cls_token", "distillation_token")
    agrees("ast", module, whole(arrays["frames"], 23), weights, PICTURE, arrays["tokens"])


def test_audio_is_whispers_encoder():
    arrays, weights = weight.read("whisper")
    module = encoders.Audio(**SMALL, mels=10, epsilon=1e-5)
    agrees("whisper", module, whole(arrays["frames"], 22), weights, WHISPER, arrays["tokens"])


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_waveform_is_wav2vec2(norm):
    arrays, weights = weight.read(f"wav2vec2_{norm}")
    convolution = "encoder.pos_conv_embed.conv"
    scale, kernel = (weights.pop(f"{convolution}.parametrizations.weight.original{i}") for i in range(2))
    weights[f"{convolution}.weight"] = scale * kernel / np.sqrt(np.square(kernel).sum((0, 1), keepdims=True))
    fields = {"bias": True, "norm_first": True} if norm == "layer" else {}
    module = encoders.Waveform(
        **SMALL,
        channels=(6, 8, 8),
        kernels=(5, 3, 2),
        strides=(3, 2, 2),
        norm=norm,
        standardise=False,
        reach=4,
        groups=2,
        key_bias=True,
        **fields,
    )
    rules = WAVE_GROUP if norm == "group" else WAVE_LAYER
    agrees(norm, module, whole(arrays["waves"], 120), weights, rules, arrays["tokens"])


def test_text_is_bert():
    arrays, weights = weight.read("bert")
    module = encoders.Text(30, **SMALL, positions="learned", length=12, key_bias=True, norm_first=False, epsilon=1e-12)
    # Single texts are all of the first type.
    weights["embeddings.position_embeddings.weight"] += weights.pop("embeddings.token_type_embeddings.weight")[0]
    signal = Signal(jnp.asarray(arrays["ids"], jnp.int32), jnp.asarray(arrays["mask"]))
    agrees("bert", module, signal, weights, WORDS, arrays["tokens"])
