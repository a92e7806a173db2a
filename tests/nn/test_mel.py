"""The log-mel front end, against Whisper's own features and against what a mask promises."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.nn import mel

log_mel = jax.jit(mel.log_mel, static_argnames=("rate", "mels", "window", "hop"))

GOLDEN = np.load(Path(__file__).parents[1] / "goldens" / "whisper_mel.npz")


def clip(name, *, padding=0):
    """One recorded clip as a batch of one, with ``padding`` samples of rubbish after it."""
    samples = GOLDEN[f"{name}_samples"].astype(np.float32) / 32_768
    wave = np.concatenate([samples, np.full(padding, np.nan, np.float32)])
    return jnp.asarray(wave)[None], jnp.arange(len(wave))[None] < len(samples)


@pytest.mark.parametrize(("name", "mels"), [("long", 80), ("short", 128)])
@pytest.mark.parametrize("padding", [0, 1000])
def test_agrees_with_whisper(name, mels, padding):
    frames = log_mel(*clip(name, padding=padding), mels=mels)
    expected = GOLDEN[f"{name}_features"]
    assert int(frames.mask.sum()) == len(expected)
    np.testing.assert_allclose(frames.values[0][: len(expected)], expected, atol=3e-5)
    assert not np.any(frames.values[0][len(expected) :])


def test_a_clip_is_the_same_however_far_it_is_padded():
    bare = log_mel(*clip("short"), mels=20)
    for padding in (1, 200, 1000):
        padded = log_mel(*clip("short", padding=padding), mels=20)
        np.testing.assert_allclose(padded.values[:, : bare.values.shape[1]], bare.values, atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "window", "hop", "mels"), [(8_000, 0.025, 0.010, 40), (8_000, 0.064, 0.020, 32), (22_050, 0.02, 0.02, 64)]
)
def test_agrees_with_a_plain_reference_at_other_rates(rate, window, hop, mels):
    wave = np.random.default_rng(0).normal(size=3_001)
    size, step = round(window * rate), round(hop * rate)
    padded = np.concatenate([wave[1 : size // 2 + 1][::-1], wave, np.zeros(2 * size)])
    starts = range(0, len(wave), step)
    hann = 0.5 * (1 - np.cos(2 * np.pi * np.arange(size) / size))
    power = np.stack([np.abs(np.fft.rfft(padded[i : i + size] * hann)) ** 2 for i in starts])
    expected = np.log10(np.maximum(power @ mel.filters(rate, size, mels).astype(np.float64), 1e-10))
    expected = (np.maximum(expected, expected.max() - 8) + 4) / 4
    frames = log_mel(
        jnp.asarray(wave, jnp.float32)[None],
        jnp.ones((1, len(wave)), bool),
        rate=rate,
        mels=mels,
        window=window,
        hop=hop,
    )
    np.testing.assert_allclose(frames.values[0], expected, atol=1e-4)


def test_bands_are_triangles_of_unit_area():
    bands = mel.filters(16_000, 4_096, 40)
    assert bands.shape == (2_049, 40)
    np.testing.assert_allclose(bands.sum(0) * 16_000 / 4_096, 1, rtol=0.02)
    assert np.all(np.diff(bands.argmax(0)) > 0)


def test_a_tone_lands_in_its_band():
    wave = jnp.sin(2 * jnp.pi * 1_000 * jnp.arange(8_000) / 16_000)[None]
    frames = log_mel(wave, jnp.ones(wave.shape, bool))
    loudest = mel.filters(16_000, 400, 80)[25].argmax()  # bin 25 is 1 kHz
    assert abs(int(frames.values[0, 20].argmax()) - int(loudest)) <= 1


def test_silence_and_absence_are_finite_with_finite_gradients():
    for mask in (True, False):
        mask = jnp.full((1, 800), mask)
        frames = log_mel(jnp.zeros((1, 800)), mask)
        assert np.all(np.isfinite(frames.values))
        gradient = jax.grad(lambda wave, mask=mask: log_mel(wave, mask).values.sum())(jnp.zeros((1, 800)))
        assert np.all(np.isfinite(gradient))


def test_the_gradient_knows_that_twice_as_loud_is_six_decibels():
    wave = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2_000)), jnp.float32)
    mask = jnp.ones(wave.shape, bool)
    gradient = jax.grad(lambda wave: log_mel(wave, mask, mels=20).values.sum())(wave)
    np.testing.assert_allclose(jnp.vdot(gradient, wave), 13 * 20 * 2 / np.log(10) / 4, rtol=1e-4)


def test_waves_under_vmap_are_as_exact():
    wave, mask = clip("long")
    both = jax.jit(jax.vmap(lambda wave: mel.log_mel(wave, mask).values))(jnp.stack([wave, wave[:, ::-1]]))
    np.testing.assert_allclose(both[0, 0], GOLDEN["long_features"], atol=3e-5)
    np.testing.assert_allclose(both[1], log_mel(wave[:, ::-1], mask).values, atol=1e-5)
    slope = jax.jit(jax.vmap(jax.grad(lambda wave: mel.log_mel(wave, mask).values.sum())))(wave[None])
    np.testing.assert_allclose(slope[0], jax.grad(lambda wave: mel.log_mel(wave, mask).values.sum())(wave), rtol=1e-3)
