"""LeNet-5, by the numbers of its paper."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import encoders
from mmjax.core import Signal, trees


def test_layers_are_as_large_as_the_papers():
    model, picture = encoders.LeNet(), Signal(jnp.zeros((1, 32, 32, 1)), jnp.ones((1, 1), bool))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), picture, train=False))["params"]
    sizes = {name: trees.count(part) for name, part in shapes.items()}
    assert sizes["convolution_0"] == 156  # C1
    assert sizes["halve_0_scale"] + sizes["halve_0_bias"] == 12  # S2
    assert sizes["convolution_1"] == 16 * (6 * 25 + 1)  # C3, all maps seen
    assert sizes["halve_1_scale"] + sizes["halve_1_bias"] == 32  # S4
    assert sizes["convolution_2"] == 48_120  # C5
    assert sizes["embed"] == 10_164  # F6


def test_a_halved_grid_holds_means():
    model = encoders.LeNet((1, 1), width=1)
    values = np.random.default_rng(0).normal(size=(1, 3, 4, 1)).astype(np.float32)
    picture = Signal(jnp.asarray(values), jnp.ones((1, 1), bool))
    middle = jnp.zeros((5, 5, 1, 1)).at[2, 2].set(1.0)  # passes on what it is given
    plain = {"kernel": middle, "bias": jnp.zeros(1)}
    params = {
        "convolution_0": plain,
        "convolution_1": plain,
        "halve_0_scale": jnp.ones(1),
        "halve_0_bias": jnp.zeros(1),
        "embed": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)},
    }
    found = model.apply({"params": params}, picture, train=False).values[0, :, 0]

    def squashed(x):
        return 1.7159 * np.tanh(2 / 3 * x)

    grid = np.pad(squashed(values[0, :, :, 0]), ((0, 1), (0, 0))).reshape(2, 2, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(found, squashed(squashed(squashed(grid))).ravel(), rtol=1e-5, atol=1e-6)
