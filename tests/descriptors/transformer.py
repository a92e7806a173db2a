"""Transformers over pictures, recordings, texts, series, tables and videos, and every way to mark positions."""

import jax.numpy as jnp

from descriptors.row import DEPTH, PICTURE_MASK, SMALL, WIDTH, Row, audio, dense, integers, lengths, noise, trunk
from mmjax import encoders, nn
from mmjax.core import Signal

PICTURES = Signal(noise(3, 7, 5, 2), PICTURE_MASK)
PATCHES = dense(3 * 3 * 2, WIDTH) + trunk()
WORDS = Signal(jnp.asarray(integers(11, 3, 5), jnp.int32), lengths(5, 2, 0))
SERIES = Signal(noise(3, 8, 3), lengths(8, 3, 0))
CELLS = Signal(noise(3, 2), jnp.asarray([[True, True], [False, True], [False, False]]))
MEL = {"rate": 1_000, "mels": 6, "window": 0.032, "hop": 0.01}
WAVE = {"channels": (4, 6), "kernels": (4, 3), "strides": (2, 2)}
BUCKETS = 32 * 2  # a bias for each of two heads, and each axis


CLIP = {"class_places": True, "patch_bias": False, "embed_norm": True, "activation": "quick_gelu"}


def picture(name: str, parameters: int, **fields) -> Row:
    module = encoders.Image(**SMALL, patch=3, convolutions=0, **fields)
    extra = fields.get("class_tokens", 0)
    return Row(f"image_{name}", module, PICTURES, PATCHES + parameters, (6 + extra, 6 + extra, 0))


def text(name: str, parameters: int = 0, **fields) -> Row:
    module = encoders.Text(11, **SMALL, **fields)
    return Row(f"text_{name}", module, WORDS, 11 * WIDTH + trunk() + parameters, (5, 2, 0), packs=True)


def wave(name: str, parameters: int, **fields) -> Row:
    module = encoders.Waveform(**SMALL, **WAVE, **fields)
    front = 4 * 4 + 3 * 4 * 6 + 2 * 6 + dense(6, WIDTH)
    return Row(f"waveform_{name}", module, audio(20, 11, 0), front + trunk() + parameters, (4, 1, 0))


def conformer() -> int:
    """One layer: two MLPs, attention with a relative bias, a convolution of 3, five norms."""
    mlp = dense(WIDTH, 2 * WIDTH) + dense(2 * WIDTH, WIDTH)
    attention = 4 * WIDTH * WIDTH + 3 * WIDTH + BUCKETS
    near = dense(WIDTH, 2 * WIDTH) + dense(3, WIDTH) + 2 * WIDTH + dense(WIDTH, WIDTH)
    return 2 * mlp + attention + near + 5 * 2 * WIDTH


TRANSFORMERS = [
    picture("class", 4 * WIDTH + WIDTH, positions="learned", grid=(2, 2), class_tokens=1),
    picture("clip", 7 * WIDTH, positions="learned", grid=(2, 2), class_tokens=1, **CLIP),
    picture("rotary", 0, positions="rotary"),
    picture("relative", DEPTH * 2 * BUCKETS, positions="relative"),
    text("sinusoidal"),
    text("rotary", positions="rotary"),
    text("relative", DEPTH * BUCKETS, positions="relative"),
    text("typed", 2 * WIDTH, types=2),
    text("unplaced", positions="none"),
    text("causal", causal=True),
    text("banded", DEPTH * BUCKETS, positions="relative", causal=True, band=2),
    text("grouped", -DEPTH * (2 * WIDTH * WIDTH // 2 + WIDTH // 2), positions="rotary", kv_heads=1, band=2),
    text("norm_last", 5 * WIDTH, positions="learned", length=5, norm_first=False, epsilon=1e-3),
    Row(
        "spectrogram",
        encoders.Spectrogram(**SMALL, **MEL, patch=4, stride=2, grid=(2, 2)),
        audio(60, 41, 0),
        dense(4 * 4, WIDTH) + 2 * 2 * WIDTH + 2 * WIDTH + trunk(),
        (2 + 2 * 2, 2 + 2 * 1, 0),
        exact=1,
    ),
    wave("group", 2 * 4 + dense(3 * WIDTH // 2, WIDTH), reach=3, groups=2),
    wave("layer", 4 + 6 + 2 * 4 + 2 * 6, norm="layer", bias=True, norm_first=True, positions="rotary"),
    Row(
        "sensor_overlap",
        encoders.Sensor(**SMALL, patch=3, stride=2, standardise=True, positions="learned", length=4),
        SERIES,
        dense(3 * 3, WIDTH) + 4 * WIDTH + trunk(),
        (4, 2, 0),
    ),
    Row(
        "sensor_independent",
        encoders.Sensor(**SMALL, patch=2, independent=True, positions="relative"),
        SERIES,
        dense(2, WIDTH) + 3 * WIDTH + DEPTH * BUCKETS + trunk(),
        (3 * 4, 3 * 2, 0),
        apart=True,
    ),
    Row("table_class", encoders.Table((0, 0), **SMALL, class_tokens=1), CELLS, 5 * WIDTH + trunk(), (3, 2, 0)),
    Row(
        "frames",
        encoders.Frames(encoders.Image(width=6, depth=0, patch=4, convolutions=0), **SMALL),
        Signal(jnp.asarray(integers(256, 3, 4, 4, 7, 2), jnp.uint8), lengths(4, 2, 0)),
        dense(4 * 4 * 2, 6) + dense(6, WIDTH) + trunk(),
        (4, 2, 0),
        packs=True,
    ),
    Row(
        "video",
        encoders.Video(**SMALL, time_depth=1, patch=3, frames=2, positions="learned", grid=(2, 1), length=2),
        Signal(noise(3, 4, 4, 3, 1), lengths(4, 1, 0)),
        dense(2 * 3 * 3, WIDTH) + (2 + 2) * WIDTH + trunk() + trunk(depth=1),
        (2, 1, 0),
        packs=True,
    ),
    Row(
        "tubes",
        encoders.Video(**SMALL, time_depth=1, patch=3, frames=2, pooled=False, positions="rotary"),
        Signal(noise(3, 4, 4, 3, 1), lengths(4, 1, 0)),
        dense(2 * 3 * 3, WIDTH) + trunk() + trunk(depth=1),
        (4, 2, 0),
        packs=True,
    ),
    Row(
        "conformer",
        encoders.Chain(
            encoders.Sensor(width=WIDTH, depth=0, patch=2), nn.Conformer(depth=1, heads=2, kernel=3, mlp=2.0)
        ),
        SERIES,
        dense(2 * 3, WIDTH) + conformer(),
        (4, 2, 0),
    ),
]
