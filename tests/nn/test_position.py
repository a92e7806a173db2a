"""Where a token stands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import UserError


@pytest.mark.parametrize("width", [8, 9])
def test_sinusoids_follow_their_formula(width):
    waves = nn.position.sinusoids(jnp.asarray([[0, 3], [7, 1_000]]), width)
    rates = 10_000.0 ** (-np.arange(4) / 3)
    angles = np.array([[0, 3], [7, 1_000]])[..., None] * rates
    expected = np.concatenate([np.sin(angles), np.cos(angles), np.zeros((2, 2, width - 8))], -1)
    np.testing.assert_allclose(waves, expected, atol=1e-4)


def test_every_place_of_a_grid_is_told_apart():
    grid = np.asarray(nn.position.sinusoids_2d(3, 5, 16))
    assert grid.shape == (15, 16)
    distances = np.linalg.norm(grid[:, None] - grid[None], axis=-1)
    assert np.min(distances + 10 * np.eye(15)) > 0.1
    np.testing.assert_array_equal(grid[0:5, :8], np.broadcast_to(grid[0, :8], (5, 8)))  # one row
    np.testing.assert_array_equal(grid[2::5, 8:], np.broadcast_to(grid[2, 8:], (3, 8)))  # one column


def test_learned_positions_end_on_the_last():
    module = nn.position.Learned(3)
    out, variables = module.init_with_output(jax.random.key(0), jnp.asarray([[0, 2, 9]]), 4)
    np.testing.assert_array_equal(out[0], variables["params"]["embedding"][np.array([0, 2, 2])])


def test_learned_places_of_a_grid_end_on_its_edge():
    places = nn.position.places(2, 3)
    assert places.tolist() == [[[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]]
    out, variables = nn.position.Grid(2, 2).init_with_output(jax.random.key(0), places, 4)
    np.testing.assert_array_equal(out[0], variables["params"]["embedding"][np.array([0, 1, 1, 2, 3, 3])])


@pytest.mark.parametrize("axes", [1, 2])
def test_rotated_products_know_only_how_far_apart_they_are(axes):
    query, key = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8)), jnp.float32)

    def product(at, other):
        places = jnp.broadcast_to(jnp.asarray([at, other])[:, None, None], (2, 1, axes))
        one, two = (nn.position.rotated(part, place[None]) for part, place in zip((query, key), places, strict=True))
        return float(jnp.vdot(one, two))

    np.testing.assert_allclose(product(3, 5), product(103, 105), atol=1e-4)
    np.testing.assert_allclose(product(7, 7), np.vdot(query, key), atol=1e-4)
    assert abs(product(3, 5) - product(5, 3)) > 1e-2
    with pytest.raises(UserError, match=f"multiple of {2 * axes} features"):
        nn.position.rotated(query[..., :5], jnp.zeros((1, 1, axes), jnp.int32))


def test_rotation_follows_its_formula():
    values = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 1, 4)), jnp.float32)
    pairs = values[..., :2] + 1j * values[..., 2:]
    turned = pairs * np.exp(1j * np.array([0, 2, 9])[:, None, None] * np.array([1, 0.01]))
    out = nn.position.rotated(values, jnp.asarray([[0, 2, 9]]))
    np.testing.assert_allclose(out, np.concatenate([turned.real, turned.imag], -1), atol=1e-5)


def test_distances_fall_in_buckets():
    near = nn.position.bucket(jnp.arange(-7, 8), 32)
    assert near.tolist() == [7, 6, 5, 4, 3, 2, 1, 0, 17, 18, 19, 20, 21, 22, 23]
    far = nn.position.bucket(jnp.asarray([8, 11, 12, 16, 64, 127, 128, 10_000]), 32) - 16
    assert far.tolist() == [8, 8, 9, 10, 14, 15, 15, 15]


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_a_relative_bias_adds_up_over_axes(axes):
    places = np.random.default_rng(0).integers(0, 50, (1, 4, *([axes] if axes else [])))
    module = nn.position.Relative(8)
    out, variables = module.init_with_output(jax.random.key(0), jnp.asarray(places), 3)
    table = variables["params"]["bias"]
    assert table.shape == (max(axes, 1), 8, 3) and out.shape == (1, 3, 4, 4)
    flat = places.reshape(4, -1)
    for query, key in np.ndindex(4, 4):
        buckets = nn.position.bucket(jnp.asarray(flat[key] - flat[query]), 8)
        expected = sum(table[axis, found] for axis, found in enumerate(buckets))
        np.testing.assert_allclose(out[0, :, query, key], expected, rtol=1e-6)
    with pytest.raises(UserError, match="relative=5"):
        nn.position.Relative(5).init(jax.random.key(0), jnp.asarray(places), 3)
