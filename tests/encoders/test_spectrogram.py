"""Recordings as pictures of their spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders, nn
from mmjax.core import Signal, UserError

KEY = jax.random.key(0)
SMALL = {"rate": 1_000, "mels": 6, "window": 0.032, "width": 8, "depth": 1, "heads": 2, "patch": 4, "stride": 2}


def test_a_clip_is_the_same_however_far_it_is_padded():
    wave = np.random.default_rng(0).normal(size=(1, 400)).astype(np.float32)
    module = encoders.Spectrogram(**SMALL, grid=(2, 9))
    run, variables, outs = jax.jit(module.apply, static_argnames="train"), None, []
    for length in (150, 157, 400):
        signal = Signal(jnp.asarray(wave[:, :length]), jnp.arange(length)[None] < 150)
        variables = variables or jax.jit(module.init, static_argnames="train")(KEY, signal, train=False)
        out = run(variables, signal, train=False)
        assert out.values.shape[1] == module.tokens(length)
        outs.append(np.asarray(out.values)[np.asarray(out.mask)])
    assert len(outs[0]) == module.tokens(150) == 2 + 2 * 6
    for other in outs[1:]:
        np.testing.assert_allclose(outs[0], other, rtol=1e-4, atol=1e-4)


def test_the_published_model_has_1214_tokens_of_ten_seconds():
    assert encoders.Spectrogram(patch=16, stride=10, mels=128).tokens(1024 * 160) == 1214


@pytest.mark.parametrize(
    "module", [encoders.Spectrogram(**SMALL), encoders.Audio(rate=1_000, mels=6, window=0.032, width=8, depth=0)]
)
def test_frames_may_be_given(module):
    wave = jnp.asarray(np.random.default_rng(0).normal(size=(2, 90)), jnp.float32)
    mask = jnp.arange(90)[None] < jnp.asarray([[90], [62]])
    frames = nn.mel.log_mel(wave, mask, rate=1_000, mels=6, window=0.032)
    variables = jax.jit(lambda: module.init(KEY, Signal(wave, mask), train=False))()
    run = jax.jit(lambda signal: module.apply(variables, signal, train=False).values)
    np.testing.assert_allclose(run(Signal(wave, mask)), run(Signal(frames.values, frames.mask)), atol=1e-5)
    with pytest.raises(UserError, match="the frames have 5 bands, mels is 6"):
        jax.eval_shape(run, Signal(frames.values[..., :5], frames.mask))


def test_squares_are_no_higher_than_the_bands():
    signal = Signal(jnp.zeros((1, 60)), jnp.ones((1, 60), bool))
    with pytest.raises(UserError, match="patch=8 is more than mels=6"):
        jax.eval_shape(lambda: encoders.Spectrogram(**{**SMALL, "patch": 8}).init(KEY, signal, train=False))
