"""What the stacks of encoders and fusions are made of comes to the same with and without compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens

RNG = np.random.default_rng(0)
MASK = jnp.asarray([[True, True, True], [True, False, False], [False, False, False]])
TOKENS, CONTEXT = (Tokens(jnp.asarray(RNG.normal(size=(3, 3, 8)), jnp.float32), MASK) for _ in range(2))
SMALL = {"heads": 2, "mlp": 2.0}


@pytest.mark.parametrize(
    "layer, given",
    [
        (nn.CrossBlock(**SMALL, gated=True), (TOKENS, CONTEXT)),
        (nn.Resampler(latents=2, depth=1, **SMALL), (TOKENS,)),
        (nn.Trunk(depth=1, **SMALL, relative=8), (TOKENS,)),
        (nn.Trunk(depth=1, **SMALL, norm_first=False, rotary=True), (TOKENS,)),
        (nn.Conformer(depth=1, **SMALL, kernel=3), (TOKENS,)),
        (nn.Recurrent(4, bidirectional=True), (TOKENS,)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else "",
)
def test_eager_equals_compiled(layer, given):
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), *given, train=False))
    params = jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape) * 0.4, leaf.dtype), shapes)
    eager = layer.apply(params, *given, train=False)
    compiled = jax.jit(lambda params: layer.apply(params, *given, train=False))(params)
    np.testing.assert_array_equal(eager.mask, compiled.mask)
    np.testing.assert_allclose(eager.values, compiled.values, rtol=1e-5, atol=1e-5)
