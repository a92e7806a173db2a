"""Late fusion."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import fusion
from mmjax.core import Tokens

RNG = np.random.default_rng(0)


def test_equals_one_linear_layer_over_the_concatenated_means():
    streams = {
        "b": Tokens(jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32), jnp.ones((2, 3), bool)),
        "a": Tokens(jnp.asarray(RNG.normal(size=(2, 2, 5)), jnp.float32), jnp.ones((2, 2), bool)),
    }
    module = fusion.Late(width=6)
    out, variables = jax.jit(lambda: module.init_with_output(jax.random.key(0), streams, train=False))()
    kernel = np.concatenate([variables["params"][f"project_{name}"]["kernel"] for name in ("a", "b")])
    joined = np.concatenate([streams[name].values.mean(1) for name in ("a", "b")], axis=1)
    np.testing.assert_allclose(out.values[:, 0], joined @ kernel, rtol=1e-5, atol=1e-5)
    assert out.values.shape == (2, 1, 6)
