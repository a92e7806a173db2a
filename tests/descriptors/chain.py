"""Front ends with trunks."""

import jax.numpy as jnp

from descriptors.convolution import SERIES, basic, norm
from descriptors.row import WIDTH, Row, block, dense, integers, lengths, noise, trunk
from mmjax import encoders, nn
from mmjax.core import Signal

THIN = {"width": WIDTH, "depth": 0}


def layer(inputs: int, width: int, gates: int) -> int:
    """One direction of a recurrent layer."""
    return dense(inputs, gates * width) + dense(width, gates * width)


CHAINS = [
    Row(
        "chain_lstm",
        encoders.Chain(encoders.Sensor(**THIN, patch=2), nn.Recurrent(4, depth=2, bidirectional=True)),
        Signal(noise(3, 8, 3), lengths(8, 3, 0)),
        dense(2 * 3, WIDTH) + 4 * layer(8, 4, 4),
        (4, 2, 0),
        packs=True,
    ),
    Row(
        "chain_gru",
        encoders.Chain(encoders.Text(11, **THIN, positions="none"), nn.Recurrent(WIDTH, "gru", bidirectional=False)),
        Signal(jnp.asarray(integers(11, 3, 5), jnp.int32), lengths(5, 2, 0)),
        11 * WIDTH + layer(WIDTH, WIDTH, 3),
        (5, 2, 0),
        packs=True,
    ),
    Row(
        "chain_rnn",
        encoders.Chain(encoders.Table((0, 0, 0), **THIN), nn.Recurrent(4, "rnn", bidirectional=True)),
        Signal(noise(3, 3), jnp.asarray([[True, True, True], [False, True, False], [False] * 3])),
        2 * 3 * WIDTH + 2 * layer(WIDTH, 4, 1),
        (3, 1, 0),
    ),
    Row(
        "chain_trunk",
        encoders.Chain(encoders.Series(4, (1, 1)), nn.Trunk(depth=1, heads=2, mlp=2.0), width=WIDTH),
        SERIES,
        7 * 3 * 4 + norm(4) + basic(4, 4, 3) + basic(4, 8, 3) + dense(8, WIDTH) + trunk(depth=1),
        (4, 2, 0),
        statistics=norm(4, 4, 4, 8, 8, 8),
    ),
    Row(
        "chain_probe",
        encoders.Chain(encoders.Text(11, **THIN, positions="none"), nn.Probe(heads=2, mlp=2.0)),
        Signal(jnp.asarray(integers(11, 3, 5), jnp.int32), lengths(5, 2, 0)),
        11 * WIDTH + WIDTH + block() - 2 * WIDTH,
        (1, 1, 0),
    ),
    Row(
        "chain_experts",
        encoders.Chain(
            encoders.Text(11, **THIN, positions="none"),
            nn.Trunk(depth=1, heads=2, mlp=2.0, experts=2, chosen=2, capacity=0.0),
        ),
        Signal(jnp.asarray(integers(11, 3, 5), jnp.int32), lengths(5, 2, 0)),
        11 * WIDTH + trunk(depth=1) + dense(WIDTH, 2 * WIDTH) + dense(2 * WIDTH, WIDTH) + 2 * WIDTH,
        (5, 2, 0),
        packs=True,
        exact=1,  # the router
    ),
]
