"""Pictures to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError

KEY = jax.random.key(0)


def picture(values):
    return Signal(jnp.asarray(values), jnp.ones((len(values), 1), bool))


def test_bytes_are_scaled_and_floats_taken_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    module = encoders.Image(width=8, depth=0, patch=2, convolutions=1, channels=4)
    variables = jax.jit(lambda: module.init(KEY, picture(pixels), train=False))()
    run = jax.jit(lambda values: module.apply(variables, picture(values), train=False).values)
    np.testing.assert_allclose(run(pixels), run((pixels / 127.5 - 1).astype(np.float32)), atol=1e-5)


def test_any_size_is_padded_to_whole_patches_with_the_same_parameters():
    module = encoders.Image(width=8, depth=1, heads=2, patch=4, convolutions=1)
    count = {}
    for size in ((28, 28), (29, 27), (3, 50)):
        signal = picture(np.zeros((1, *size, 1), np.float32))
        out, variables = jax.eval_shape(lambda signal=signal: module.init_with_output(KEY, signal, train=False))
        assert out.values.shape[1] == module.tokens(*size) == -(-size[0] // 4) * -(-size[1] // 4)
        count[size] = jax.tree.map(jnp.shape, variables)
    assert count[28, 28] == count[29, 27] == count[3, 50]


@pytest.mark.parametrize(("patch", "convolutions"), [(6, 2), (0, 0), (1, 1)])
def test_convolutions_have_to_divide_the_patch(patch, convolutions):
    module = encoders.Image(patch=patch, convolutions=convolutions)
    with pytest.raises(UserError, match=f"patch={patch} is not a multiple of {2**convolutions}"):
        jax.eval_shape(lambda: module.init(KEY, picture(np.zeros((1, 8, 8, 1), np.float32)), train=False))
