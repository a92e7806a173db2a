"""Every encoder."""

import jax.numpy as jnp

from descriptors.row import PICTURE_MASK, SMALL, WIDTH, Row, audio, dense, integers, lengths, noise, stem, trunk
from mmjax import encoders
from mmjax.core import Signal

FAMILIES = [
    Row(
        "image",
        encoders.Image(**SMALL, patch=3, convolutions=0),
        Signal(noise(3, 7, 5, 2), PICTURE_MASK),
        dense(3 * 3 * 2, WIDTH) + trunk(),
        (6, 6, 0),
    ),
    Row(
        "image_patches",
        encoders.Image(**SMALL, patch=3, convolutions=0),
        Signal(noise(3, 6, 18), lengths(6, 4, 0), positions=jnp.asarray(integers(3, 3, 6, 2), jnp.int32)),
        dense(3 * 3 * 2, WIDTH) + trunk(),
        (6, 4, 0),
        packs=True,
    ),
    Row(
        "image_stem",
        encoders.Image(**SMALL, patch=4, convolutions=1, channels=4),
        Signal(jnp.asarray(integers(256, 3, 7, 8, 1), jnp.uint8), PICTURE_MASK),
        stem(1, 4) + dense(2 * 2 * 4, WIDTH) + trunk(),
        (4, 4, 0),
    ),
    Row(
        "audio",
        encoders.Audio(**SMALL, rate=1_000, mels=6, window=0.032, hop=0.01, convolutions=0),
        audio(60, 31, 0),
        dense(3 * 6, WIDTH) + dense(3 * WIDTH, WIDTH) + trunk(),
        (3, 2, 0),
        packs=True,
        exact=1,
    ),
    Row(
        "audio_stem",
        encoders.Audio(**SMALL, rate=1_000, mels=6, window=0.032, hop=0.01, convolutions=2, channels=8),
        audio(80, 31, 0),
        stem(1, 8, 8) + dense(2 * 8, WIDTH) + trunk(),
        (2, 1, 0),
        packs=True,
        exact=1,
    ),
    Row(
        "text",
        encoders.Text(11, **SMALL, positions="learned", length=5),
        Signal(jnp.asarray(integers(11, 3, 5), jnp.int32), lengths(5, 2, 0)),
        11 * WIDTH + 5 * WIDTH + trunk(),
        (5, 2, 0),
        packs=True,
    ),
    Row(
        "sensor",
        encoders.Sensor(**SMALL, patch=2),
        Signal(noise(3, 8, 3), lengths(8, 3, 0)),
        dense(2 * 3, WIDTH) + trunk(),
        (4, 2, 0),
        packs=True,
    ),
    Row(
        "sensor_stem",
        encoders.Sensor(**SMALL, patch=4, convolutions=1, channels=4),
        Signal(noise(3, 9, 3), lengths(9, 5, 0)),
        stem(3, 4, kernel=3) + dense(2 * 4, WIDTH) + trunk(),
        (3, 2, 0),
    ),
    Row(
        "table",
        encoders.Table((0, 3, 0, 2), **SMALL),
        Signal(
            jnp.asarray([[0.3, 2, -1.0, 1], [1.2, 0, 0.5, 0], [0.1, 1, 0.2, 1]], jnp.float32),
            jnp.asarray([[True, True, True, True], [False, True, True, False], [False] * 4]),
        ),
        (2 + 5 + 4) * WIDTH + trunk(),
        (4, 2, 0),
    ),
]
