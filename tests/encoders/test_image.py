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


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "relative", "none"])
def test_places_matter_unless_there_are_none(positions):
    pixels = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype(np.float32)
    module = encoders.Image(
        width=8, depth=1, heads=2, patch=2, convolutions=0, positions=positions, grid=(2, 2), class_tokens=1
    )
    variables = jax.jit(lambda: module.init(KEY, picture(pixels), train=False))()
    variables = jax.tree.map(lambda leaf: 20 * leaf if leaf.shape[:2] == (2, 32) else leaf, variables)  # the biases
    run = jax.jit(lambda values: module.apply(variables, picture(values), train=False).values[0])
    out, swapped = run(pixels), run(np.roll(pixels, 2, axis=1))
    moved = np.concatenate([swapped[:1], swapped[3:], swapped[1:3]])
    assert out.shape == (5, 8) and (np.abs(out - moved).max() > 1e-3) == (positions != "none")


def test_positions_are_of_a_known_kind_and_rows_are_not_packed():
    pixels = picture(np.zeros((1, 8, 8, 1), np.float32))
    with pytest.raises(UserError, match="positions is 'left'; it can be sinusoidal, learned, rotary, relative or none"):
        jax.eval_shape(lambda: encoders.Image(positions="left").init(KEY, pixels, train=False))
    with pytest.raises(UserError, match=r"encoders.Image of whole pictures takes one example a row"):
        packed = pixels.replace(segments=jnp.ones((1, 1), jnp.int32))
        jax.eval_shape(lambda: encoders.Image().init(KEY, packed, train=False))
