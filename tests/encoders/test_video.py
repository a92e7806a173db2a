"""Videos, picture by picture and in tubes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal

KEY = jax.random.key(0)
PIXELS = np.random.default_rng(0).integers(0, 256, (1, 8, 6, 6, 3)).astype(np.uint8)
SMALL = {"width": 8, "depth": 1, "heads": 2}
PICTURE = encoders.Image(width=6, depth=0, patch=3, convolutions=0)
MODULES = [encoders.Frames(PICTURE, **SMALL), encoders.Video(**SMALL, time_depth=1, patch=3, frames=2)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_a_video_is_the_same_however_far_it_is_padded_and_bytes_are_scaled(module):
    outs, variables, run = [], None, jax.jit(module.apply, static_argnames="train")
    for length in (5, 8):
        signal = Signal(jnp.asarray(PIXELS[:, :length]), jnp.arange(length)[None] < 5)
        variables = variables or jax.jit(module.init, static_argnames="train")(KEY, signal, train=False)
        out = run(variables, signal, train=False)
        assert out.values.shape[1] == module.tokens(length)
        outs.append(np.asarray(out.values)[np.asarray(out.mask)])
    assert len(outs[0]) == module.tokens(5)
    np.testing.assert_allclose(*outs, rtol=1e-4, atol=1e-4)
    floats = Signal(jnp.asarray(PIXELS[:, :5] / 127.5 - 1, jnp.float32), jnp.ones((1, 5), bool))
    np.testing.assert_allclose(run(variables, floats, train=False).values[0], outs[0], atol=1e-4)


def test_tubes_hold_the_pixels_of_their_own_place_and_time():
    module = encoders.Video(**{**SMALL, "depth": 0}, time_depth=0, patch=3, frames=2, positions="none")
    signal = Signal(jnp.asarray(PIXELS[:, :4], jnp.float32), jnp.ones((1, 4), bool))
    out, variables = jax.jit(lambda: module.init_with_output(KEY, signal, train=False))()
    kernel, bias = (np.asarray(variables["params"]["embed"][name], np.float64) for name in ("kernel", "bias"))
    second = PIXELS[0, 2:4].astype(np.float64).reshape(2, 2, 3, 2, 3, 3)  # t i h j w c
    tubes = second.transpose(1, 3, 0, 2, 4, 5).reshape(4, -1)
    np.testing.assert_allclose(out.values[0, 1], (tubes @ kernel + bias).mean(0), rtol=1e-4)


def test_packed_videos_end_within_a_tube_and_never_see_each_other():
    lengths, starts, run = (3, 4), (0, 4), jax.jit(MODULES[1].apply, static_argnames="train")
    mask, segments, places = np.zeros(8, bool), np.zeros(8, np.int32), np.zeros(8, np.int32)
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True), start=1):
        mask[start : start + length], segments[start : start + length] = True, number
        places[start : start + length] = np.arange(length)
    packed = Signal(jnp.asarray(PIXELS), *(jnp.asarray(part)[None] for part in (mask, segments, places)))
    variables = jax.jit(MODULES[1].init, static_argnames="train")(KEY, packed, train=False)
    out = run(variables, packed, train=False)
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        own = jnp.asarray(PIXELS[:, start : start + length])
        alone = run(variables, Signal(own, jnp.ones((1, length), bool)), train=False)
        np.testing.assert_allclose(out.values[0, 2 * number : 2 * number + 2], alone.values[0], rtol=1e-4, atol=1e-5)
