"""Every decoder: the GPT series at a few words and two layers, and what talks about other things."""

import jax.numpy as jnp

from descriptors.row import DEPTH, PICTURE_MASK, SMALL, WIDTH, Row, block, dense, integers, lengths, noise, trunk
from mmjax import decoders, encoders
from mmjax.core import Signal

VOCABULARY, LENGTH = 11, 5
TEXT = {"text": Signal(jnp.asarray(integers(VOCABULARY, 3, LENGTH), jnp.int32), lengths(LENGTH, 2, 0))}
WORDS, PLACES, NORM = VOCABULARY * WIDTH, LENGTH * WIDTH, 2 * WIDTH


def gpt(name: str, parameters: int, **fields) -> Row:
    size = {"length": LENGTH, "width": WIDTH, "depth": DEPTH, "heads": 2, "mlp": 2.0}
    size["key_bias"] = False  # which never learns
    return Row(name, decoders.GPT(VOCABULARY, **size | fields), TEXT, parameters, packs=True)


def gated() -> int:
    """A layer without biases: four heads of four in two groups, an MLP with a gate, norms without a mean."""
    return 2 * WIDTH * 16 + 2 * WIDTH * 8 + 3 * WIDTH * 2 * WIDTH + 2 * WIDTH


# Two pictures' places, one of which is no picture's, a sound's, and words; then a sound alone; then nothing.
PLACED = jnp.asarray([[-2, 3, -1, -2, -2, 5], [-1, -2, 4, 1, 0, 0], [0, 0, 0, 0, 0, 0]], jnp.int32)
SPOKEN = {
    "text": Signal(PLACED, lengths(6, 4, 0)),
    "image": Signal(noise(3, 4, 4, 2), PICTURE_MASK & jnp.asarray([[True], [False], [False]])),
    "audio": Signal(noise(3, 6, 3), lengths(6, 3, 0)),
}
ENCODERS = {
    "image": encoders.Image(**SMALL | {"depth": 0}, patch=2, convolutions=0),
    "audio": encoders.Sensor(**SMALL | {"depth": 0, "width": 6}, patch=3),
}
HEARD = dense(2 * 2 * 2, WIDTH) + dense(3 * 3, 6)
LOOK = 4 * WIDTH * WIDTH + 3 * WIDTH  # cross-attention, whose key has no bias


def talker(name: str, parameters: int, bridges: dict, **fields) -> Row:
    size = {"length": 6, "width": WIDTH, "depth": 1, "heads": 2, "mlp": 2.0, "key_bias": False}
    decoder = decoders.GPT(VOCABULARY, **size | fields)
    paper = HEARD + WORDS + 6 * WIDTH + trunk(depth=1) + parameters
    return Row(name, decoders.Talker(ENCODERS, decoder, bridges), SPOKEN, paper)


def latents(inputs: int, number: int) -> int:
    """A projection, the latents, one layer that looks (three norms, an MLP), a last norm."""
    layer = 3 * NORM + LOOK + dense(WIDTH, 2 * WIDTH) + dense(2 * WIDTH, WIDTH)
    return dense(inputs, WIDTH) + number * WIDTH + layer + NORM


DECODERS = [
    gpt(
        "gpt1",
        WORDS + PLACES + trunk() - NORM,
        norm_first=False,
        outer_norm=False,
        positions="shared",
        residual=False,
    ),
    gpt("gpt2", WORDS + PLACES + trunk()),
    gpt(
        "gpt3",
        WORDS + PLACES + trunk() + DEPTH * (4 * WIDTH * 4 + 2 * 4),
        head_size=6,
        bands=(0, 2),
    ),
    gpt(
        "gpt_modern",
        2 * WORDS + DEPTH * gated() + WIDTH,
        norm="rms",
        positions="rotary",
        activation="silu",
        gated=True,
        bias=False,
        heads=4,
        kv_heads=2,
        head_size=4,
        tied=False,
    ),
    talker(
        "talker_prefix",
        2 * dense(WIDTH, WIDTH) + dense(6, WIDTH) + 3 * WIDTH + block() + 3 * NORM + LOOK,
        {"image": decoders.Projector(WIDTH), "audio": decoders.Queries(WIDTH, queries=3, depth=1, heads=2, mlp=2.0)},
    ),
    talker(
        "talker_mean",
        dense(WIDTH, WIDTH) + dense(6, WIDTH),
        {"image": decoders.Mean(WIDTH), "audio": decoders.Mean(WIDTH)},
    ),
    talker(
        "talker_cross",
        LOOK + NORM + dense(6, WIDTH),
        {"audio": decoders.Projector(WIDTH, deep=False)},
        cross=1,
    ),
    talker(
        "talker_gated",
        latents(WIDTH, 3) + latents(6, 2) + LOOK + 2 * NORM + dense(WIDTH, 2 * WIDTH) + dense(2 * WIDTH, WIDTH) + 2,
        {
            "image": decoders.Latents(WIDTH, latents=3, heads=2, mlp=2.0),
            "audio": decoders.Latents(WIDTH, latents=2, heads=2, mlp=2.0),
        },
        cross=1,
        cross_gate=True,
    ),
]
