"""Where a token stands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn


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
