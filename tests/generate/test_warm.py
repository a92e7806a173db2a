"""Prompts of fifty lengths after the warm-up: jax itself is asked whether it traced or compiled anything."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import decoders
from mmjax.core import Signal, UserError
from mmjax.data.tokenizers import Bytes
from mmjax.generate import Choice, Decoder, Generator
from mmjax.generate.beam import Beams

SIZE = {"length": 60, "width": 8, "depth": 1, "heads": 2, "stddev": 1.0}


def weights(model):
    inputs = {"text": Signal(jnp.zeros((1, 4), jnp.int32), jnp.ones((1, 4), bool))}
    return jax.jit(lambda key: model.init(key, inputs, train=False))(jax.random.key(0))


@contextlib.contextmanager
def compiling():
    """Names of what jax says that it does on the way to a new program."""
    heard = []

    def hear(name, _, **__):
        if "/compile/" in name:
            heard.append(name)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        yield heard
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)


def test_fifty_lengths_compile_nothing_once_it_is_warm():
    model = decoders.GPT(258, **SIZE)
    generator = Generator(model, weights(model), Bytes())
    how = Choice(temperature=0.9, top_p=0.9, repetition=1.1)
    with compiling() as heard:
        generator.warm(how=how)
    assert heard  # so that silence means something
    with compiling() as heard:
        for length in range(1, 51):
            generator("x" * length, tokens=3, how=Choice(temperature=0.5, top_p=length / 51, repetition=1.2))
    assert not heard


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_beams_find_the_best_of_all_continuations(penalty):
    """All 16 ** 3 of them, those that end sooner included, by logits of whole rows."""
    model, prompt, end, words = decoders.GPT(16, **SIZE), [3, 1], 5, 16
    held = weights(model)
    rows = np.stack(np.meshgrid(*[np.arange(words)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
    whole = np.concatenate([np.broadcast_to(np.array(prompt, np.int32), (len(rows), 2)), rows], axis=1)
    text = {"text": Signal(jnp.asarray(whole), jnp.ones(whole.shape, bool))}
    factors = jax.jit(lambda held: model.apply(held, text, train=False).heads["next"])(held)
    logits = np.asarray(factors.features, np.float64) @ np.asarray(factors.kernel, np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    each = np.take_along_axis(logs[:, 1:4], rows[..., None], axis=-1)[..., 0]
    sums = np.cumsum(each, axis=1)
    ended = (rows == end).any(axis=1)
    length = np.where(ended, np.argmax(rows == end, axis=1) + 1, 3)
    scores = sums[np.arange(len(rows)), length - 1] / length**penalty
    best = int(np.argmax(scores))
    expected = rows[best][: length[best] - ended[best]].tolist()
    assert Beams(Decoder(model, held), 8, penalty=penalty)(prompt, tokens=3, end=end) == expected


def test_more_beams_than_half_the_words_are_refused():
    model = decoders.GPT(16, **SIZE)
    with pytest.raises(UserError, match="beams=9 must be from 1 to 8, half of the 16 words"):
        Beams(Decoder(model, weights(model)), 9)
