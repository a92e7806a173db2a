"""Raw waves to tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError

KEY = jax.random.key(0)
SMALL = {"width": 8, "depth": 1, "heads": 2, "channels": (4, 4), "kernels": (5, 3), "strides": (3, 2), "groups": 2}


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_clip_is_the_same_however_far_it_is_padded(norm):
    wave = np.random.default_rng(0).normal(size=(1, 90)).astype(np.float32)
    module = encoders.Waveform(**SMALL, norm=norm, reach=4)
    run, variables, outs = jax.jit(module.apply, static_argnames="train"), None, []
    for length in (50, 57, 90):
        signal = Signal(jnp.asarray(wave[:, :length]), jnp.arange(length)[None] < 50)
        variables = variables or jax.jit(module.init, static_argnames="train")(KEY, signal, train=False)
        out = run(variables, signal, train=False)
        assert out.values.shape[1] == module.tokens(length)
        outs.append(np.asarray(out.values)[np.asarray(out.mask)])
    assert len(outs[0]) == module.tokens(50)
    for other in outs[1:]:
        np.testing.assert_allclose(outs[0], other, rtol=1e-4, atol=1e-4)


def test_one_sample_is_heard_and_the_published_sizes_fit():
    module = encoders.Waveform(**SMALL, reach=4)
    signal = Signal(jnp.ones((1, 1)), jnp.ones((1, 1), bool))
    out = jax.jit(lambda: module.init_with_output(KEY, signal, train=False)[0])()
    assert out.mask.tolist() == [[True]] and np.all(np.isfinite(out.values))
    base = encoders.Waveform(width=768, depth=1, heads=12)
    assert base.tokens(16_000) == 49
    clip = Signal(jnp.zeros((1, 16_000)), jnp.ones((1, 16_000), bool))
    shapes = jax.eval_shape(lambda: base.init(KEY, clip, train=False))["params"]
    assert shapes["position"]["kernel"].shape == (128, 768 // 16, 768)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"norm": "batch"}, "it can be group or layer"),
        ({"kernels": (5,)}, "one number a convolution"),
        ({"groups": 3}, "groups=3 does not divide width=8"),
        ({"positions": "near"}, "positions is 'near'"),
    ],
)
def test_what_does_not_fit_is_told(fields, complaint):
    signal = Signal(jnp.zeros((1, 60)), jnp.ones((1, 60), bool))
    with pytest.raises(UserError, match=complaint):
        jax.eval_shape(lambda: encoders.Waveform(**{**SMALL, **fields}).init(KEY, signal, train=False))
