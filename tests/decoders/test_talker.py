"""What a decoder is given besides words: gates, places, absence, and who sees it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import decoders, encoders, fusion
from mmjax.core import Signal, Tokens, UserError, modality

WIDTH, VOCABULARY = 8, 11
SIZE = {"length": 12, "width": WIDTH, "depth": 2, "heads": 2, "mlp": 2.0}
EYE = encoders.Image(width=6, depth=0, patch=2, convolutions=0)  # two tokens of a picture of 2 by 4
EAR = encoders.Sensor(width=6, depth=0, patch=2)
BRIDGES = {"image": decoders.Projector(WIDTH), "audio": decoders.Projector(WIDTH, deep=False)}
PREFIX = decoders.Talker({"image": EYE, "audio": EAR}, decoders.GPT(VOCABULARY, **SIZE), BRIDGES)
LATENTS = {name: decoders.Latents(WIDTH, latents=2, heads=2) for name in BRIDGES}
GATED = decoders.Talker(PREFIX.encoders, decoders.GPT(VOCABULARY, **SIZE, cross=2, cross_gate=True), LATENTS)
RNG = np.random.default_rng(0)
AUDIO, IMAGE = -1, -2
PICTURE = Signal(jnp.asarray(RNG.normal(size=(1, 2, 4, 1)), jnp.float32), jnp.ones((1, 1), bool))
SOUND = Signal(jnp.asarray(RNG.normal(size=(1, 4, 3)), jnp.float32), jnp.ones((1, 4), bool))


def given(ids, **others):
    text = Signal(jnp.asarray([ids], jnp.int32), jnp.ones((1, len(ids)), bool))
    return {"text": text, "image": PICTURE, "audio": SOUND, **others}


@functools.cache
def weights(model):
    made = jax.jit(lambda key: MODELS[model].init(key, given([1, IMAGE, AUDIO]), train=False))(jax.random.key(0))
    return jax.tree.map(lambda leaf: leaf + 0.3 * RNG.normal(size=leaf.shape).astype(leaf.dtype), made)


MODELS = {"prefix": PREFIX, "gated": GATED, "plain": decoders.GPT(VOCABULARY, **SIZE)}
talkers = pytest.mark.parametrize("model", ["prefix", "gated"])


@functools.cache
def run(model):
    return jax.jit(lambda held, inputs: MODELS[model].apply(held, inputs, train=False).heads["next"])


def logits(model, inputs, held=None):
    factors = run(model)(held or weights(model), inputs)
    return np.asarray(factors.features @ factors.kernel)[0]


def test_shut_gates_leave_the_plain_decoder_bit_for_bit():
    made = jax.jit(lambda key: GATED.init(key, given([1, 2, 3]), train=False))(jax.random.key(0))
    crossed = made["params"]["decoder"]["trunk"].pop("block_1")
    assert not crossed["cross"]["attention_gate"] and not crossed["cross"]["mlp_gate"]
    own = {**made["params"]["decoder"]["trunk"], "block_1": {k: v for k, v in crossed.items() if k != "cross"}}
    plain = {"params": {**made["params"]["decoder"], "trunk": own}}
    made["params"]["decoder"]["trunk"]["block_1"] = crossed
    np.testing.assert_array_equal(
        logits("gated", given([5, 1, 7, 2]), made), logits("plain", given([5, 1, 7, 2]), plain)
    )


@talkers
def test_what_is_missing_is_what_is_masked(model):
    ids = [1, IMAGE, 4, IMAGE, AUDIO, AUDIO, 7]
    masked = modality.subset(given(ids), ("text", "audio"))
    left = {name: signal for name, signal in given(ids).items() if name != "image"}
    np.testing.assert_allclose(logits(model, masked), logits(model, left), rtol=1e-4, atol=1e-5)
    assert np.abs(logits(model, masked) - logits(model, given(ids))).max() > 1e-3


def test_places_are_filled_in_turn_wherever_they_stand():
    """Words see what stands before them, in the place where it stands; a place too many is nothing."""
    ids, moved = [1, AUDIO, IMAGE, 4, IMAGE, 7, 8], [1, IMAGE, AUDIO, 4, IMAGE, 7, 8]
    assert np.abs(logits("prefix", given(ids))[3] - logits("prefix", given(moved))[3]).max() > 1e-4
    other = PICTURE.replace(values=PICTURE.values.at[:, :, 2:].add(1.0))  # its second token
    seen, changed = logits("prefix", given(ids)), logits("prefix", given(ids, image=other))
    np.testing.assert_array_equal(seen[:4], changed[:4])
    assert np.all(np.abs(seen[4:] - changed[4:]).max(axis=1) > 1e-4)
    text = given([1, IMAGE, IMAGE, IMAGE, 3])["text"]
    gone = text.replace(mask=text.mask.at[0, 3].set(False))
    seen, masked = logits("prefix", given([1, IMAGE, IMAGE, IMAGE, 3])), logits("prefix", {**given([1]), "text": gone})
    np.testing.assert_array_equal(seen[[0, 1, 2, 4]], masked[[0, 1, 2, 4]])


@talkers
def test_what_follows_a_place_that_is_nothing_follows_the_word_before_it(model):
    """So a prompt may end with the place of what is missing, and an answer does not begin blindly."""
    heard = {name: signal for name, signal in given([4, 2, IMAGE, IMAGE, 7]).items() if name != "image"}
    found = logits(model, heard)
    np.testing.assert_array_equal(found[[2, 3]], found[[1, 1]])
    short = {**heard, "text": given([4, 2])["text"]}
    np.testing.assert_allclose(found[3], logits(model, short)[1], rtol=1e-4, atol=1e-5)


@talkers
def test_texts_beside_each_other_are_about_the_same_things(model):
    texts = [[1, IMAGE, IMAGE, 4, AUDIO], [IMAGE, IMAGE, IMAGE, 7, 2]]  # a place too many, which is nothing
    row = Signal(jnp.asarray([texts[0] + texts[1]]), jnp.ones((1, 10), bool))
    row = row.replace(segments=jnp.asarray([[1] * 5 + [2] * 5]), positions=jnp.asarray([[*range(5), *range(5)]]))
    found = logits(model, {**given([1]), "text": row})
    alone = np.concatenate([logits(model, given(text)) for text in texts])
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)
    missing = {name: signal for name, signal in {**given([1]), "text": row}.items() if name != "image"}
    alone = [logits(model, {name: signal for name, signal in given(text).items() if name != "image"}) for text in texts]
    np.testing.assert_allclose(logits(model, missing), np.concatenate(alone), rtol=1e-4, atol=1e-5)


def test_pictures_that_are_alike_share_an_encoder_and_stand_anywhere():
    """In which of two places a picture stands matters, not by which name it came there."""
    model = PREFIX.clone(alike={"second": "image"})
    second = -3
    other = PICTURE.replace(values=PICTURE.values[:, ::-1] + 0.5)
    inputs = {**given([1, IMAGE, IMAGE, 4, AUDIO, second, second, 5]), "second": other}
    params = weights("prefix")
    made = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs, train=False))
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, params)
    run = jax.jit(lambda inputs: model.apply(params, inputs, train=False).heads["next"].features)
    swapped = given([1, second, second, 4, AUDIO, IMAGE, IMAGE, 5], image=other, second=PICTURE)
    np.testing.assert_array_equal(run(inputs), run(swapped))
    moved = run({**inputs, "image": other, "second": PICTURE})
    assert np.abs(moved - run(inputs))[0, 2:].max(axis=-1).min() > 1e-4


def test_what_encoders_tell_together_stands_where_its_name_does():
    """A fusion of all that is there, before the bridges; words before its place do not see it."""
    fuse, together = fusion.LowRank(WIDTH, rank=2), -3
    model = PREFIX.clone(fused={"together": fuse})
    inputs = given([1, together, 4, IMAGE])
    held = jax.jit(lambda: model.init(jax.random.key(0), inputs, train=False))()
    held = jax.tree.map(lambda leaf: leaf + 0.3 * RNG.normal(size=leaf.shape).astype(leaf.dtype), held)
    own = {name: {"params": held["params"][name]} for name in ("encoders_image", "encoders_audio", "fused_together")}
    seen: Any = EYE.apply(own["encoders_image"], PICTURE, train=False)
    heard: Any = EAR.apply(own["encoders_audio"], SOUND, train=False)
    told = jax.jit(lambda inputs: model.apply(held, inputs, train=False).streams["together"])
    for named in ({"image": seen, "audio": heard}, {"audio": heard}):
        expected: Any = fuse.apply(own["fused_together"], named, train=False)
        found = told({name: signal for name, signal in inputs.items() if name in {"text", *named}})
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)
        assert found.mask.all() and found.values.shape == (1, 1, WIDTH)
    run = jax.jit(lambda inputs: model.apply(held, inputs, train=False).heads["next"].features[0])
    louder = {**inputs, "audio": SOUND.replace(values=SOUND.values + 1.0)}
    np.testing.assert_array_equal(run(inputs)[0], run(louder)[0])
    assert np.abs(run(inputs) - run(louder))[1:].max(axis=-1).min() > 1e-4


def test_a_cross_attending_decoder_sees_everything_from_every_word():
    seen = logits("gated", given([1, 2, 3]))
    changed = logits("gated", given([1, 2, 3], image=PICTURE.replace(values=PICTURE.values + 1)))
    assert np.all(np.abs(seen - changed).max(axis=1) > 1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (decoders.Talker({"image": EYE}, decoders.GPT(VOCABULARY, **SIZE)), "tokens of 'image' are 6 wide, words 8"),
        (PREFIX.clone(encoders={"image": EYE}), "bridges have 'audio', which has no encoder; there are image"),
        (PREFIX.clone(alike={"second": "film"}), "alike={'second': 'film'} must take a name without an encoder to one"),
        (PREFIX.clone(alike={"audio": "image"}), "alike={'audio': 'image'} must take a name without an encoder to one"),
        (PREFIX.clone(fused={"audio": fusion.LowRank(WIDTH)}), "fused={'audio': ...} must have a name of its own"),
        (GATED.clone(bridges={"image": LATENTS["image"]}), "not equally wide .audio 6, image 8."),
        (GATED.clone(decoder=GATED.decoder.clone(scan=True)), "cross=2 differ from layer to layer"),
    ],
)
def test_parts_that_do_not_fit_are_told(model, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(lambda: model.init(jax.random.key(0), given([1, IMAGE]), train=False))


def test_a_mean_is_one_token_of_all_that_is_there():
    tokens = Tokens(jnp.asarray(RNG.normal(size=(2, 3, 6)), jnp.float32), jnp.asarray([[1, 0, 1], [0, 0, 0]], bool))
    bridge = decoders.Mean(WIDTH)
    held = bridge.init(jax.random.key(0), tokens, train=False)
    found = bridge.apply(held, tokens, train=False)
    kernel = np.asarray(held["params"]["project"]["kernel"], np.float64)
    expected = np.asarray(tokens.values, np.float64)[0, [0, 2]].mean(axis=0) @ kernel
    np.testing.assert_allclose(found.values[0, 0], expected, rtol=1e-5, atol=1e-6)
    assert found.values.shape == (2, 1, WIDTH) and found.mask.tolist() == [[True], [False]]
