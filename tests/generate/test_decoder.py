"""Continuing texts: the cache changes nothing, nothing is compiled anew, rows do not know of one another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import decoders
from mmjax.core import Signal, UserError
from mmjax.data.tokenizers import Bytes
from mmjax.generate import Choice, Decoder, Generator
from mmjax.generate.beam import Beams
from mmjax.generate.choice import chosen
from mmjax.zoo import gpt2
from tools.golden import weight

SLOTS, GREEDY = 40, Choice(temperature=0)
TINY = {"length": SLOTS, "width": 16, "depth": 2, "heads": 2, "stddev": 0.5}
MODELS = {
    "gpt1": decoders.GPT(258, **TINY, norm_first=False, outer_norm=False, positions="shared"),
    "gpt3": decoders.GPT(258, **TINY, head_size=6, bands=(0, 3)),
    "modern": decoders.GPT(
        258,
        **TINY | {"heads": 4},
        kv_heads=2,
        norm="rms",
        positions="rotary",
        gated=True,
        activation="silu",
        tied=False,
    ),
    "scanned": decoders.GPT(258, **TINY | {"heads": 4}, kv_heads=2, positions="rotary", scan=True),
}
PROMPTS = [[70, 80, 90, 100, 110], [71], list(range(60, 77))]


@functools.cache
def weights(name):
    inputs = {"text": Signal(jnp.zeros((1, 4), jnp.int32), jnp.ones((1, 4), bool))}
    return jax.jit(lambda key: MODELS[name].init(key, inputs, train=False))(jax.random.key(0))


@functools.cache
def decoder(name):
    return Decoder(MODELS[name], weights(name))


@functools.cache
def whole(name):
    """Logits of whole rows, without any cache."""

    def logits(ids):
        inputs = {"text": Signal(ids, jnp.ones(ids.shape, bool))}
        factors = MODELS[name].apply(weights(name), inputs, train=False).heads["next"]
        return factors.features @ factors.kernel

    return jax.jit(logits)


def uncached(name, prompt, count):
    row = np.zeros((1, SLOTS), np.int32)
    row[0, : len(prompt)] = prompt
    for at in range(len(prompt), len(prompt) + count):
        row[0, at] = np.argmax(whole(name)(row)[0, at - 1])
    return row[0, len(prompt) : len(prompt) + count].tolist()


def cached(decoder, prompts, count, how=GREEDY, **fields):
    state = decoder.begin(prompts, how, **fields)
    words = [np.asarray(state["ids"])]
    for _ in range(count - 1):
        state = decoder.step(state, how)
        words.append(np.asarray(state["ids"]))
    return np.stack(words, axis=1).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_cached_equals_uncached_word_for_word_in_ragged_batches(name):
    assert cached(decoder(name), PROMPTS, 12) == [uncached(name, prompt, 12) for prompt in PROMPTS]


def test_nothing_is_compiled_once_it_is_warm():
    generator = Generator(MODELS["modern"], weights("modern"), Bytes(), slots=SLOTS)
    programs = generator.warm(how=Choice(temperature=0.7, top_k=9))
    assert programs == 4  # buckets of 16, 32 and 40 tokens, and the step
    for length in range(1, SLOTS + 1):
        generator("x" * length, tokens=3, how=Choice(temperature=0.5 + length / 100, top_k=length))
    assert generator.decoder.compilations() == programs


def test_what_is_drawn_hangs_on_the_seed_and_not_on_other_rows():
    how = Choice(temperature=2.0, top_p=0.95, min_p=0.001, repetition=1.3)
    both = cached(decoder("modern"), PROMPTS, 6, how, seed=3)
    assert both[:1] == cached(decoder("modern"), PROMPTS[:1], 6, how, seed=3)
    assert both != cached(decoder("modern"), PROMPTS, 6, how, seed=4)


def test_beams_are_transformers_own():
    arrays, tensors = weight.read("gpt2")
    model = gpt2.small(vocabulary=40, length=32, width=16, depth=2, heads=2)
    search = Beams(Decoder(model, {"params": gpt2.adopt(tensors, model)[0]}), 3)
    for ids, said in zip(arrays["ids"], arrays["beams"], strict=True):
        assert search(ids[:5].tolist(), tokens=len(said), end=None) == said.tolist()


def test_beams_of_scanned_layers_are_those_of_layers_one_by_one():
    params = dict(weights("scanned")["params"])
    trunk = dict(params["trunk"])
    stacked = trunk.pop("blocks")
    trunk |= {f"block_{i}": jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(TINY["depth"])}
    apart = Decoder(MODELS["scanned"].clone(scan=False), {"params": params | {"trunk": trunk}})
    found = [Beams(one, 3)(PROMPTS[0], tokens=6, end=None) for one in (decoder("scanned"), apart)]
    assert found[0] == found[1]


LOGITS = jnp.log(jnp.asarray([[0.4, 0.3, 0.2, 0.06, 0.04]]))


@pytest.mark.parametrize(
    ("how", "possible"),
    [
        (Choice(temperature=0), {0}),
        (Choice(top_k=2), {0, 1}),
        (Choice(top_p=0.65), {0, 1}),
        (Choice(top_p=0.75), {0, 1, 2}),
        (Choice(min_p=0.4), {0, 1, 2}),
        (Choice(top_k=3, top_p=0.5), {0, 1}),
        (Choice(), {0, 1, 2, 3, 4}),
    ],
)
def test_only_likely_words_are_drawn(how, possible):
    keys = jax.random.split(jax.random.key(0), 300)
    words = chosen(jnp.repeat(LOGITS, 300, axis=0), None, how.numbers(), keys, how.kind)
    assert set(np.asarray(words).tolist()) == possible


def test_temperature_and_repetition():
    keys = jax.random.split(jax.random.key(0), 20_000)
    hot = Choice(temperature=2.0)
    words = np.asarray(chosen(jnp.repeat(LOGITS, 20_000, axis=0), None, hot.numbers(), keys, hot.kind))
    expected = np.sqrt([0.4, 0.3, 0.2, 0.06, 0.04])
    np.testing.assert_allclose(np.bincount(words) / 20_000, expected / expected.sum(), atol=0.015)
    again = Choice(temperature=0, repetition=2.0)
    logits, seen = jnp.asarray([[2.0, 1.5, -1.0], [-1.0, -1.5, -9.0]]), jnp.asarray([[True, False, False]] * 2)
    assert chosen(logits, seen, again.numbers(), None, again.kind).tolist() == [1, 1]


def test_stop_strings_and_the_end_of_a_text():
    generator, pieces = Generator(MODELS["gpt3"], weights("gpt3"), Bytes()), []
    (free,) = generator("hello", tokens=20, how=GREEDY)
    assert free.ended in ("length", "end") and free.prompt == "hello"
    stop = free.text[3:5]
    (said,) = generator("hello", tokens=20, how=GREEDY, stop=[stop], tell=lambda _, piece: pieces.append(piece))
    assert said.text == free.text[: free.text.find(stop)] and said.ended == "stop"
    assert "".join(pieces) == said.text


def test_a_text_that_outgrows_the_slots_goes_on():
    generator = Generator(MODELS["modern"], weights("modern"), Bytes(), slots=16)
    (said,) = generator("abc", tokens=40, how=Choice(temperature=1.0))
    assert said.tokens == 40 or said.ended == "end"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": -1}, "temperature=-1 must be 0"),
        ({"top_p": 0}, "top_p=0 must be above 0"),
        ({"repetition": 0}, "repetition=0 must be above 0"),
    ],
)
def test_numbers_that_make_no_sense_are_told(fields, message):
    with pytest.raises(UserError, match=message):
        Choice(**fields)


def test_more_slots_than_positions_are_refused():
    with pytest.raises(UserError, match="slots=41 are more than the 40 positions"):
        Decoder(MODELS["gpt1"], weights("gpt1"), slots=41)
