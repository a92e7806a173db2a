"""Recordings to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal

KEY = jax.random.key(0)


@pytest.mark.parametrize("convolutions", [0, 2])
def test_a_clip_is_the_same_however_far_it_is_padded(convolutions):
    wave = np.random.default_rng(0).normal(size=(1, 4_000)).astype(np.float32)
    module = encoders.Audio(
        rate=8_000, mels=16, width=8, depth=1, heads=2, convolutions=convolutions, channels=8, window=0.032
    )
    run, variables, outs = jax.jit(module.apply, static_argnames="train"), None, []
    for length in (1_777, 2_000, 4_000):
        signal = Signal(jnp.asarray(wave[:, :length]), jnp.arange(length)[None] < 1_777)
        variables = variables or jax.jit(module.init, static_argnames="train")(KEY, signal, train=False)
        out = run(variables, signal, train=False)
        assert out.values.shape[1] == module.tokens(length)
        outs.append(np.asarray(out.values)[np.asarray(out.mask)])
    assert len(outs[0]) == module.tokens(1_777)
    for other in outs[1:]:
        np.testing.assert_allclose(outs[0], other, rtol=1e-4, atol=1e-4)


def test_rate_window_hop_and_bands_set_the_front_end():
    signal = Signal(jnp.zeros((1, 22_050)), jnp.ones((1, 22_050), bool))
    module = encoders.Audio(rate=22_050, mels=32, hop=0.02, width=8, depth=0, convolutions=2, channels=8)
    out, variables = jax.eval_shape(lambda: module.init_with_output(KEY, signal, train=False))
    assert out.values.shape == (1, 13, 8)  # 50 frames, halved twice
    assert variables["params"]["embed"]["kernel"].shape == (32 // 4 * 8, 8)
