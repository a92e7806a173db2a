"""Cross-attention blocks and the resampler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError

RNG = np.random.default_rng(0)


def tokens(n, *masks, segments=None):
    values = jnp.asarray(RNG.normal(size=(len(masks), n, 8)), jnp.float32)
    return Tokens(values, jnp.asarray(masks, bool), None if segments is None else jnp.asarray(segments))


def runner(module, *inputs):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    params = jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape) * 0.4, leaf.dtype), shapes)
    return jax.jit(lambda *inputs: module.apply(params, *inputs, train=False).values), params


def test_where_there_is_nothing_to_look_at_nothing_is_heard():
    own, context = tokens(2, [1, 1], [1, 1]), tokens(3, [1, 1, 0], [0, 0, 0])
    run, _ = runner(nn.CrossBlock(heads=2, mlp=0.0), own, context)
    out = run(own, context)
    assert np.abs(out[0] - own.values[0]).max() > 1e-2
    np.testing.assert_array_equal(out[1], own.values[1])
    np.testing.assert_array_equal(run(own, None), own.values)


def test_packed_tokens_look_at_their_own_segment():
    own = tokens(2, [1, 1], segments=[[1, 2]])
    context = tokens(3, [1, 1, 1], segments=[[1, 1, 1]])
    run, _ = runner(nn.CrossBlock(heads=2, mlp=0.0), own, context)
    out = run(own, context)
    assert np.abs(out[0, 0] - own.values[0, 0]).max() > 1e-2
    np.testing.assert_array_equal(out[0, 1], own.values[0, 1])


def test_gates_begin_shut():
    own, context = tokens(2, [1, 1]), tokens(3, [1, 1, 1])
    module = nn.CrossBlock(heads=2, gated=True)
    out, params = module.init_with_output(jax.random.key(0), own, context, train=False)
    np.testing.assert_array_equal(out.values, own.values)
    params["params"] |= {"attention_gate": jnp.asarray(0.5), "mlp_gate": jnp.asarray(0.0)}
    half = module.apply(params, own, context, train=False).values - own.values
    params["params"]["attention_gate"] = jnp.asarray(100.0)
    whole = module.apply(params, own, context, train=False).values - own.values
    np.testing.assert_allclose(half, np.tanh(0.5) * whole, rtol=1e-5, atol=1e-6)


def test_latents_are_there_where_tokens_are_and_see_them_all():
    given = tokens(5, [1, 1, 1, 0, 0], [0, 0, 0, 0, 0])
    run, params = runner(nn.Resampler(latents=3, depth=1, heads=2), given)
    out = nn.Resampler(latents=3, depth=1, heads=2).apply(params, given, train=False)
    np.testing.assert_array_equal(out.mask, [[True] * 3, [False] * 3])
    assert not np.any(out.values[1])
    for i in range(3):
        moved = given.replace(values=given.values.at[0, i].add(jnp.asarray(RNG.normal(size=8))))
        assert np.all(np.abs(run(moved)[0] - out.values[0]).max(axis=1) > 1e-4)
    with pytest.raises(UserError, match="packed"):
        run(tokens(2, [1, 1], segments=[[1, 2]]))
