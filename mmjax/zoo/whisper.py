"""Whisper (Radford et al., 2022, https://arxiv.org/abs/2212.04356): recordings to words, by an encoder-decoder.

A published model hears 30 seconds at a time, silence after a shorter recording included: give it waves ``b 480000`` at
16 kHz, or frames ``b 3000 mels``, with a mask that is True throughout. The text begins with its own tokens for what is
to be done (``<|startoftranscript|>``, a language, a task), which its ``tokenizer.json`` knows.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen

from mmjax import nn
from mmjax.core import Signal, UserError, plain
from mmjax.decoders import GPT, Talker
from mmjax.encoders import Audio
from mmjax.zoo import weight
from mmjax.zoo.weight import Account, Origin

AUDIO, TEXT = "audio", "text"
SINUSOIDS = "model.encoder.embed_positions.weight"  # released, though they are fixed
_FRAMES = 1_500  # after the convolutions


def tiny(**fields: Any) -> Talker:
    """37,184,640 parameters, and 576,000 fixed positions of the encoder, which others count, too."""
    return _model(384, 4, 6, fields)


def base(**fields: Any) -> Talker:
    """71,825,920 parameters, and 768,000 positions."""
    return _model(512, 6, 8, fields)


def small(**fields: Any) -> Talker:
    """240,582,912 parameters, and 1,152,000 positions."""
    return _model(768, 12, 12, fields)


def medium(**fields: Any) -> Talker:
    """762,321,920 parameters, and 1,536,000 positions."""
    return _model(1024, 24, 16, fields)


def large(**fields: Any) -> Talker:
    """1,541,384,960 parameters, and 1,920,000 positions: the first and the second version."""
    return _model(1280, 32, 20, fields)


def large_v3(**fields: Any) -> Talker:
    """1,541,570,560 parameters, and 1,920,000 positions: 128 bands, and one language more."""
    return _model(1280, 32, 20, {"mels": 128, "vocabulary": 51_866} | fields)


def large_v3_turbo(**fields: Any) -> Talker:
    """806,958,080 parameters, and 1,920,000 positions: the third version with four layers to decode."""
    return large_v3(**{"decoder_depth": 4} | fields)


def _model(width: int, depth: int, heads: int, fields: dict[str, Any]) -> Talker:
    """fields: of the encoder and the decoder, or of both; ``decoder_depth`` is the decoder's alone."""
    own: dict[str, Any] = {"width": width, "depth": depth, "heads": heads, "key_bias": False, "epsilon": 1e-5} | fields
    decoder = own | {"depth": own.pop("decoder_depth", own["depth"]), "cross": 1, "activation": "gelu"}
    words: dict[str, Any] = {"vocabulary": 51_865, "length": 448}
    return Talker(encoders={AUDIO: Audio(**_of(Audio, own))}, decoder=GPT(**words | _of(GPT, decoder)))


def _of(kind: type[linen.Module], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in plain.fields(kind)}


def inputs(model: Talker) -> dict[str, Signal]:
    """The smallest that the model takes, by which its parameters are known."""
    encoder: Any = model.encoders[AUDIO]
    frames = Signal(jnp.zeros((1, 2, encoder.mels)), jnp.ones((1, 2), bool))
    return {AUDIO: frames, TEXT: Signal(jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool))}


def adopt(tensors: Mapping[str, Any], model: Talker) -> tuple[dict[str, Any], Account]:
    """Released weights (transformers' names) as parameters of ``model``. UserError where one is missing.

    The encoder's positions, which are released though they are fixed, are listed as extra; UserError where they are no
    sinusoids.
    """
    found = dict(tensors)
    if "proj_out.weight" in found and np.array_equal(found["proj_out.weight"], found.get(_EMBED, ())):
        del found["proj_out.weight"]
    if SINUSOIDS in found:
        given = np.asarray(found[SINUSOIDS], np.float32)
        if np.abs(given - sinusoids(*given.shape)).max() > 1e-3:
            raise UserError(f"{SINUSOIDS} are no sinusoids, so these are not Whisper's weights")
    return weight.adopt(found, model, origin, inputs=inputs(model))


def release(params: Any, *, kept: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files.

    kept: tensors that go back as they came, as an account's extra ones; the encoder's positions are reckoned anew where
    they are not among these.
    """
    found = weight.release(params, origin)
    positions = {SINUSOIDS: sinusoids(_FRAMES, found[_EMBED].shape[1])}
    return positions | found | {name: np.asarray(value) for name, value in (kept or {}).items()}


def sinusoids(length: int, width: int) -> np.ndarray:
    """The encoder's positions."""
    return np.asarray(nn.position.sinusoids(jnp.arange(length)[None], width)[0])


_EMBED = "model.decoder.embed_tokens.weight"
_WHOLE = {"decoder/embed/embedding": _EMBED, "decoder/position/embedding": "model.decoder.embed_positions.weight"}
_SIDES = {"encoders_audio": "encoder", "decoder": "decoder"}
_PARTS = {
    "attention_norm": "self_attn_layer_norm",
    "cross/attention_norm": "encoder_attn_layer_norm",
    "mlp_norm": "final_layer_norm",
    "mlp/up": "fc1",
    "mlp/down": "fc2",
}
for _name, _theirs in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "out_proj")):
    _PARTS |= {f"attention/{_name}": f"self_attn.{_theirs}", f"cross/attention/{_name}": f"encoder_attn.{_theirs}"}


def origin(path: str) -> Origin | None:
    """The released tensor of one of our leaves."""
    if path in _WHOLE:
        return Origin((_WHOLE[path],))
    side, _, inner = path.partition("/")
    if side not in _SIDES:
        return None
    part, _, leaf = inner.rpartition("/")
    end, kernel = ("bias" if leaf == "bias" else "weight"), leaf == "kernel"
    before = f"model.{_SIDES[side]}"
    if part == "trunk/norm":
        return Origin((f"{before}.layer_norm.{end}",))
    found = re.fullmatch(r"convolution_(\d)", part)
    if found:
        return Origin((f"{before}.conv{int(found[1]) + 1}.{end}",), transposed=kernel)
    found = re.fullmatch(r"trunk/block_(\d+)/(.+)", part)
    if found is None or found[2] not in _PARTS:
        return None
    return Origin((f"{before}.layers.{found[1]}.{_PARTS[found[2]]}.{end}",), transposed=kernel)
