"""Every decoder: the GPT series at a few words and two layers."""

import jax.numpy as jnp

from descriptors.row import DEPTH, WIDTH, Row, integers, lengths, trunk
from mmjax import decoders
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
]
