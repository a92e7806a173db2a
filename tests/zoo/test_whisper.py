"""Whisper: published sizes, agreement with transformers' own given the same weights, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import generate, metrics, zoo
from mmjax.core import Signal, UserError
from mmjax.zoo import whisper
from tools.golden import weight

# With the encoder's fixed positions: what the released files hold.
SIZES = [
    (whisper.tiny, 37_760_640),
    (whisper.base, 72_593_920),
    (whisper.small, 241_734_912),
    (whisper.medium, 763_857_920),
    (whisper.large, 1_543_304_960),
    (whisper.large_v3, 1_543_490_560),
    (whisper.large_v3_turbo, 808_878_080),
]
TINY = whisper.tiny(vocabulary=40, mels=10, length=24, width=16, depth=2, heads=2, mlp=2.0)


@pytest.mark.parametrize(("make", "count"), SIZES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_sizes_are_the_published_ones(make, count):
    model = make(scan=True)
    own = sum(np.prod(shape) for shape in zoo.weight.shapes(model, whisper.inputs(model)).values())
    assert own + 1500 * model.decoder.width == count
    assert f"{own:,} parameters" in make.__doc__


@pytest.fixture(scope="module")
def released():
    arrays, tensors = weight.read("whisper_whole")
    return arrays, {**tensors, whisper.SINUSOIDS: arrays["positions"]}


def test_logits_and_greedy_words_are_transformers_own(released):
    arrays, tensors = released
    params, told = whisper.adopt(tensors, TINY)
    assert told.extra == (whisper.SINUSOIDS,) and told.reshaped
    assert not (told.missing or told.unknown or told.misfits)
    sound = Signal(jnp.asarray(arrays["frames"]), jnp.ones((3, 22), bool))

    def apply(inputs):
        return TINY.apply({"params": params}, inputs, train=False)

    text = Signal(jnp.asarray(arrays["ids"]), jnp.ones((3, 14), bool))
    factors = jax.jit(apply)({"audio": sound, "text": text}).heads["next"]
    assert weight.error(factors.features @ factors.kernel, arrays["logits"]) <= 1e-5
    asked = text.replace(mask=jnp.broadcast_to(jnp.arange(14) < 2, (3, 14)))
    own = {"stream": "text", "head": "next", "tokens": 12, "end": -1}
    said, _ = jax.jit(lambda inputs: metrics.replies(apply, inputs, **own))({"audio": sound, "text": asked})
    assert np.array_equal(said, arrays["said"])


def test_what_a_cache_continues_is_the_same(released):
    arrays, tensors = released
    params, _ = whisper.adopt(tensors, TINY)
    sound = Signal(jnp.asarray(arrays["frames"]), jnp.ones((3, 22), bool))
    decoder, how = generate.Decoder(TINY, {"params": params}), generate.Choice(temperature=0.0)
    state = decoder.begin(arrays["ids"][:, :2].tolist(), how, inputs={"audio": sound})
    said = []
    for _ in range(12):
        said.append(np.asarray(state["ids"]))
        state = decoder.step(state, how)
    assert np.array_equal(np.stack(said, axis=1), arrays["said"])


def test_weights_go_back_as_they_came(released):
    _, tensors = released
    params, told = whisper.adopt(tensors, TINY)
    back = whisper.release(params, kept={name: tensors[name] for name in told.extra})
    assert sorted(back) == sorted(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    np.testing.assert_allclose(whisper.release(params)[whisper.SINUSOIDS][:11], tensors[whisper.SINUSOIDS], atol=1e-5)


def test_what_is_missing_or_no_whisper_is_told(released):
    _, tensors = released
    rest = dict(tensors)
    del rest["model.decoder.layers.1.encoder_attn.k_proj.weight"]
    with pytest.raises(UserError, match=r"the weights lack model\.decoder\.layers\.1\.encoder_attn\.k_proj\.weight"):
        whisper.adopt(rest, TINY)
    with pytest.raises(UserError, match="no sinusoids"):
        whisper.adopt({**tensors, whisper.SINUSOIDS: np.ones((11, 16))}, TINY)
