"""Words about other things: the cache changes nothing, whatever way these come in, and nothing is compiled anew."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import decoders, encoders
from mmjax.core import Signal, UserError, trees
from mmjax.data import fields
from mmjax.data.sources import Row, Rows
from mmjax.generate import Choice, Decoder, Generator
from mmjax.generate.beam import Beams

SLOTS, VOCABULARY, WIDTH, GREEDY = 20, 13, 16, Choice(temperature=0)
SIZE = {"length": SLOTS, "width": WIDTH, "depth": 2, "heads": 2, "stddev": 0.5, "tied": False}
PARTS = {
    "image": encoders.Image(width=WIDTH, depth=0, patch=4, convolutions=0),
    "audio": encoders.Sensor(width=WIDTH, depth=0, patch=2),
}
LATENTS = {name: decoders.Latents(WIDTH, latents=2, heads=2) for name in PARTS}


def talker(bridges, **changes):
    return decoders.Talker(PARTS, decoders.GPT(VOCABULARY, **SIZE | changes), bridges)


MODELS = {
    "prefix": talker({"image": decoders.Projector(WIDTH), "audio": decoders.Queries(WIDTH, queries=2, depth=1)}),
    "encoder_decoder": talker({}, cross=1, kv_heads=1, scan=True, positions="shared", norm_first=False),
    "flamingo": talker(LATENTS, cross=2, cross_gate=True, norm="rms", positions="rotary", gated=True),
}
AUDIO, IMAGE = -1, -2
PROMPTS = [[1, IMAGE, IMAGE, 4, AUDIO, AUDIO, 3], [5], [IMAGE, 7, AUDIO, 2, 8, IMAGE, 3, 3, 9]]
RNG = np.random.default_rng(0)
INPUTS = {
    "image": Signal(RNG.normal(size=(3, 4, 8, 1)).astype(np.float32), np.array([[True], [True], [False]])),
    "audio": Signal(RNG.normal(size=(3, 6, 3)).astype(np.float32), np.arange(6) < np.array([[4], [0], [6]])),
}


@functools.cache
def weights(name):
    inputs = {**INPUTS, "text": Signal(jnp.zeros((3, 4), jnp.int32), jnp.ones((3, 4), bool))}
    made = jax.jit(lambda key: MODELS[name].init(key, inputs, train=False))(jax.random.key(0))
    return trees.map_paths(lambda path, leaf: leaf + 0.5 * path.endswith("_gate"), made)  # ajar


@functools.cache
def decoder(name):
    return Decoder(MODELS[name], weights(name))


@functools.cache
def whole(name):
    """Logits of whole rows, without any cache."""

    def logits(ids, mask):
        held = {**INPUTS, "text": Signal(ids, mask)}
        factors = MODELS[name].apply(weights(name), held, train=False).heads["next"]
        return factors.features @ factors.kernel

    return jax.jit(logits)


def uncached(name, count):
    ids, lengths = np.zeros((3, SLOTS), np.int32), np.array([len(prompt) for prompt in PROMPTS])
    for row, prompt in zip(ids, PROMPTS, strict=True):
        row[: len(prompt)] = prompt
    rows = np.arange(3)
    for said in range(count):
        logits = np.asarray(whole(name)(ids, np.arange(SLOTS) < (lengths + said)[:, None]))
        ids[rows, lengths + said] = np.argmax(logits[rows, lengths + said - 1], axis=1)
    return [row[n : n + count].tolist() for row, n in zip(ids, lengths, strict=True)]


def cached(name, inputs, count):
    state, words = decoder(name).begin(PROMPTS, GREEDY, inputs=inputs), []
    for _ in range(count):
        words.append(np.asarray(state["ids"]))
        state = decoder(name).step(state, GREEDY)
    return np.stack(words, axis=1).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_cached_equals_uncached_word_for_word(name):
    found = cached(name, INPUTS, 8)
    assert found == uncached(name, 8)
    assert found != cached(name, jax.tree.map(np.zeros_like, INPUTS), 8)


def test_beams_look_at_what_the_prompt_looks_at():
    one = jax.tree.map(lambda leaf: leaf[:1], INPUTS)
    greedy = Beams(decoder("encoder_decoder"), 1)(PROMPTS[0], tokens=5, end=None, inputs=one)
    assert greedy == uncached("encoder_decoder", 5)[0]


@functools.cache
def generator():
    rows = Rows([Row({"question": "a b c d e f g", "answer": "h i"}, "rows", 1)], "stop")
    asked = fields.Prompt("<image>{question}<audio>", places={"image": 2, "audio": 2}, length=14, reply=6).fit(rows)
    assert asked.size <= VOCABULARY
    parts = {"image": fields.Image("image", size=(4, 8)), "audio": fields.Sensor("audio")}
    parts["audio"] = parts["audio"].fit(Rows([Row({"audio": INPUTS["audio"].values[0]}, "rows", 1)], "stop"))
    parts["image"] = parts["image"].fit(Rows([Row({"image": np.zeros((4, 8), np.uint8)}, "rows", 1)], "stop"))
    return Generator(MODELS["prefix"], weights("prefix"), asked.tokenizer, fields=parts, prompted=asked.prompted)


def test_nothing_is_compiled_once_it_is_warm():
    programs = generator().warm(how=Choice(temperature=0.7))
    picture, sound = np.full((4, 8), 99, np.uint8), INPUTS["audio"].values[1]
    for length in range(1, 8):
        given = {"image": picture} if length % 2 else {"audio": sound} if length % 3 else {}
        (said,) = generator()("a " * length, tokens=30, how=Choice(temperature=0.5), given=given)
        assert said.ended == "end" or said.tokens == SLOTS - (length + 4) + 1  # no text outgrows its picture
    assert generator().decoder.compilations() == programs


def test_several_prompts_about_one_thing_or_one_each():
    pictures = [np.zeros((4, 8), np.uint8), np.full((4, 8), 255, np.uint8)]
    each = generator()(["a b", "a b"], tokens=4, how=GREEDY, given={"image": pictures})
    alone = [generator()("a b", tokens=4, how=GREEDY, given={"image": picture})[0] for picture in pictures]
    assert each == alone
    whole = generator()("<image>a b<audio>", tokens=4, how=GREEDY, given={"image": pictures[0]})[0]
    assert whole.text == alone[0].text


@pytest.mark.parametrize(
    ("prompt", "given", "message"),
    [
        ("a", {"picture": 1}, "this run has no modality 'picture'"),
        ("a", {"image": "gone.png"}, "image: gone.png does not exist"),
        ("a", {"image": [1, 2, 3]}, "image is given 3 times for 1 prompts; give it once"),
        ("a " * 30, {}, "a prompt of 34 tokens does not fit the model's context of 20"),
    ],
)
def test_mistakes_are_told(prompt, given, message):
    with pytest.raises(UserError, match=message):
        generator()(prompt, given=given)
