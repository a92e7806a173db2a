"""Stems and patches."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import nn


def test_channels_double_up_to_the_last():
    assert nn.convolution.channels(64, 3) == (16, 32, 64)
    assert nn.convolution.channels(32, 4) == (8, 8, 16, 32)
    assert nn.convolution.channels(4, 2) == (4, 4)


def test_a_stem_halves_rounding_up_and_never_mixes_padding_in():
    stem = nn.Stem((4, 6))
    values = jnp.asarray(np.random.default_rng(0).normal(size=(1, 9, 6, 1)), jnp.float32)
    mask = jnp.arange(9)[None] < 5
    variables = jax.jit(lambda: stem.init(jax.random.key(0), values, mask))()
    whole = jax.jit(stem.apply)(variables, jnp.where(mask[..., None, None], values, jnp.nan), mask)
    assert whole.shape == (1, 3, 2, 6)
    cut = jax.jit(stem.apply)(variables, values[:, :5], mask[:, :5])
    np.testing.assert_allclose(whole[:, :2], cut, rtol=1e-5, atol=1e-6)
    assert not np.any(whole[:, 2])


def test_patches_lie_in_reading_order():
    picture = jnp.arange(2 * 5 * 4 * 3).reshape(2, 5, 4, 3)
    patches = nn.embed.patches(picture, rows=2, columns=2)
    assert patches.shape == (2, 3, 2, 12)
    np.testing.assert_array_equal(patches[1, 1, 0].reshape(2, 2, 3), picture[1, 2:4, 0:2])
    assert not np.any(patches[:, 2].reshape(2, 2, 2, 2, 3)[:, :, 1])  # the sixth row is padding
