"""Residual networks over space and time."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import encoders, nn
from mmjax.core import Signal, trees

VIDEO = np.random.default_rng(0).normal(size=(2, 7, 6, 5, 2)).astype(np.float32)


def test_space_and_time_have_as_many_weights_as_one_of_all():
    whole = 27 * 64 * 64
    middle = nn.residual.between(64, 64)
    assert middle == 144
    assert 9 * 64 * middle + 3 * middle * 64 == whole


def test_the_network_of_18_layers_is_as_large_as_the_papers():
    video = Signal(jnp.zeros((1, 2, 8, 8, 3)), jnp.ones((1, 2), bool))
    shapes = jax.eval_shape(lambda: encoders.R2Plus1D().init(jax.random.key(0), video, train=False))["params"]
    assert abs(trees.count(shapes) + 400 * 513 - 33.3e6) < 0.1e6  # with a head for the 400 classes of Kinetics


def test_masked_frames_are_as_good_as_cut_off():
    encoder = encoders.R2Plus1D(4, (1, 1), middle=3, places=True)
    mask = jnp.broadcast_to(jnp.arange(7) < 3, (2, 7))
    spoilt = Signal(jnp.where(mask[..., None, None, None], VIDEO, jnp.nan), mask)
    cut = Signal(jnp.asarray(VIDEO[:, :3]), mask[:, :3])
    variables = jax.jit(lambda: encoder.init(jax.random.key(0), spoilt, train=False))()
    run = jax.jit(lambda signal: encoder.apply(variables, signal, train=True, mutable=["batch_stats"]))
    (whole, seen), (alone, expected) = run(spoilt), run(cut)
    places = alone.values.shape[1]
    np.testing.assert_array_equal(
        whole.mask, np.broadcast_to(np.arange(whole.mask.shape[1]) < places, whole.mask.shape)
    )
    np.testing.assert_allclose(whole.values[:, :places], alone.values, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), seen, expected)


def test_a_step_of_time_is_the_mean_of_its_places():
    encoder = encoders.R2Plus1D(4, (1, 1), middle=3, groups=1)
    video = Signal(jnp.asarray(VIDEO), jnp.ones((2, 7), bool))
    variables = jax.jit(lambda: encoder.init(jax.random.key(0), video, train=False))()
    steps = jax.jit(lambda: encoder.apply(variables, video, train=False).values)()
    places = jax.jit(lambda: encoder.clone(places=True).apply(variables, video, train=False).values)()
    np.testing.assert_allclose(steps, places.reshape(2, steps.shape[1], -1, 8).mean(axis=2), rtol=1e-5, atol=1e-6)


def test_bytes_are_pixels():
    encoder = encoders.R2Plus1D(4, (1,), middle=3, groups=1)
    pixels = np.random.default_rng(0).integers(0, 256, VIDEO.shape).astype(np.uint8)
    mask = jnp.ones((2, 7), bool)
    variables = jax.jit(lambda: encoder.init(jax.random.key(0), Signal(jnp.asarray(VIDEO), mask), train=False))()
    run = jax.jit(lambda values: encoder.apply(variables, Signal(values, mask), train=False).values)
    np.testing.assert_allclose(run(jnp.asarray(pixels)), run(jnp.asarray(pixels / np.float32(127.5) - 1)), rtol=1e-5)
