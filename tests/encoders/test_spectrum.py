"""Recordings as pictures, and series of whatever stands at a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError

FAST = {"rate": 1_000, "mels": 8, "window": 0.032, "hop": 0.01}
PICTURES = [
    encoders.LeNet((2, 3, 4), width=8),
    encoders.ResNet(4, (1, 1), bottleneck=False),
    encoders.ConvNeXt((4, 8), (1, 1), patch=2),
    encoders.Series(4, (1, 1)),
]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: type(picture).__name__)
@pytest.mark.parametrize("train", [False, True])
def test_a_recording_is_the_same_however_far_it_is_padded(picture, train):
    encoder = encoders.Spectrum(picture, **FAST)
    wave = jnp.asarray(np.random.default_rng(0).normal(size=(2, 90)), jnp.float32)
    short = Signal(wave, jnp.ones((2, 90), bool))
    padded = Signal(jnp.pad(wave, ((0, 0), (0, 150)), constant_values=jnp.nan), jnp.arange(240) < jnp.full((2, 1), 90))
    variables = jax.jit(lambda: encoder.init(jax.random.key(0), short, train=False))()
    run = jax.jit(lambda signal: encoder.apply(variables, signal, train=train, mutable=["batch_stats"]))
    (alone, expected), (whole, seen) = run(short), run(padded)
    count = encoder.tokens(90)
    assert alone.values.shape[1] == count < encoder.tokens(240) == whole.values.shape[1]
    np.testing.assert_array_equal(np.sum(whole.mask, axis=1), count)
    np.testing.assert_allclose(whole.values[:, :count], alone.values, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), seen, expected)


def test_packed_series_are_refused():
    mask = jnp.ones((1, 8), bool)
    packed = Signal(jnp.zeros((1, 8, 2)), mask, jnp.asarray([[1] * 4 + [2] * 4]), jnp.arange(8)[None] % 4)
    with pytest.raises(UserError, match="convolutions would mix"):
        encoders.Series(4, (1,)).init(jax.random.key(0), packed, train=False)
