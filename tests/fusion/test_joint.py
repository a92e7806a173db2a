"""Joint fusion."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import fusion
from mmjax.core import Tokens

RNG = np.random.default_rng(0)


def test_equal_tokens_of_two_modalities_are_told_apart_and_hear_each_other():
    values = jnp.asarray(RNG.normal(size=(1, 2, 8)), jnp.float32)
    streams = {name: Tokens(values, jnp.ones((1, 2), bool)) for name in ("a", "b")}
    module = fusion.Joint(width=8, depth=1, heads=2)
    variables = jax.jit(lambda: module.init(jax.random.key(0), streams, train=False))()
    run = jax.jit(lambda streams: module.apply(variables, streams, train=False).values)
    out = run(streams)
    assert np.abs(out[:, :2] - out[:, 2:]).max() > 1e-3
    other = run({**streams, "b": streams["b"].replace(values=-values)})
    assert np.abs(out[:, :2] - other[:, :2]).max() > 1e-3
