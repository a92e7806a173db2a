"""Fusions in which streams listen: who hears whom, and who when the main one is away."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import fusion
from mmjax.core import Tokens, UserError

RNG = np.random.default_rng(0)
STREAMS = {
    name: Tokens(jnp.asarray(RNG.normal(size=(2, n, 4)), jnp.float32), jnp.ones((2, n), bool))
    for name, n in {"a": 3, "b": 2, "c": 4}.items()
}
SMALL = {"width": 8, "depth": 1, "mlp": 2.0}
LISTENING = [fusion.Cross(**SMALL, heads=2), fusion.GatedCross(**SMALL, heads=2, latents=2), fusion.Film(**SMALL)]
every = pytest.mark.parametrize("module", LISTENING, ids=lambda module: type(module).__name__)


def runner(module, streams=STREAMS):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), streams, train=False))
    params = jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape) * 0.3, leaf.dtype), shapes)
    return jax.jit(lambda streams: module.apply(params, streams, train=False))


def masked(name):
    part = STREAMS[name]
    return {**STREAMS, name: Tokens(jnp.full_like(part.values, jnp.nan), jnp.zeros_like(part.mask))}


def without(*names):
    return {name: part for name, part in STREAMS.items() if name not in names}


@every
def test_every_stream_hears_all_the_others(module):
    run = runner(module)
    before = run(STREAMS).values
    for name, own in {"a": slice(0, 3), "b": slice(3, 5), "c": slice(5, 9)}.items():
        louder = {**STREAMS, name: STREAMS[name].replace(values=STREAMS[name].values + RNG.normal(size=4))}
        change = np.abs(run(louder).values - before).max(axis=(0, 2))
        assert np.all(change > 1e-6), (name, own, change)


@every
@pytest.mark.parametrize("main", ["a", "c"])
def test_of_a_main_stream_its_tokens_come_out_and_one_more(module, main):
    run = runner(module.clone(main=main))
    out = run(STREAMS)
    assert out.values.shape == (2, STREAMS[main].mask.shape[1] + 1, 8)
    for other in set("abc") - {main}:
        louder = {**STREAMS, other: STREAMS[other].replace(values=STREAMS[other].values + RNG.normal(size=4))}
        assert np.all(np.abs(run(louder).values - out.values).max(axis=(0, 2)) > 1e-6)


@every
def test_a_main_stream_left_out_equals_it_masked_and_the_others_are_heard(module):
    run = runner(module.clone(main="b"))
    hidden, gone = run(masked("b")), run(without("b"))
    np.testing.assert_array_equal(hidden.mask, [[False, False, True]] * 2)
    np.testing.assert_allclose(hidden.values[:, 2:], gone.values, rtol=1e-5, atol=1e-5)
    assert np.abs(run(without("a", "b")).values - gone.values).max() > 1e-4


@every
def test_one_stream_alone_is_enough_to_begin_with(module):
    alone = without("a", "c")
    assert runner(module, alone)(alone).values.shape == (2, 2, 8)
    assert runner(module.clone(main="b"), alone)(alone).values.shape == (2, 3, 8)


@every
def test_mistakes_are_told(module):
    with pytest.raises(UserError, match="main='d' names no stream; there are a, b, c"):
        module.clone(main="d").init(jax.random.key(0), STREAMS, train=False)
    packed = {**STREAMS, "a": STREAMS["a"].replace(segments=jnp.ones((2, 3), jnp.int32))}
    with pytest.raises(UserError, match="takes one example a row"):
        module.clone(main="a").init(jax.random.key(0), packed, train=False)


def test_gated_streams_begin_deaf():
    module = fusion.GatedCross(**SMALL, heads=2, latents=2)
    params = jax.jit(lambda: module.init(jax.random.key(0), STREAMS, train=False))()
    run = jax.jit(lambda streams: module.apply(params, streams, train=False).values)
    np.testing.assert_allclose(run(STREAMS)[:, 3:5], run(without("a", "c")), rtol=1e-5, atol=1e-5)
