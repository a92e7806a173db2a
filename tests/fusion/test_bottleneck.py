"""Bottleneck fusion: who hears whom, and through what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import fusion
from mmjax.core import Tokens, UserError

RNG = np.random.default_rng(0)
SIGHT, HEARING = slice(0, 3), slice(3, 5)  # tokens of "a" and "b" in what comes out


def streams(**changes):
    kept = {
        "a": Tokens(jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32), jnp.ones((2, 3), bool)),
        "b": Tokens(jnp.asarray(RNG.normal(size=(2, 2, 4)), jnp.float32), jnp.ones((2, 2), bool)),
    }
    return {**kept, **changes}


def runner(**fields):
    module = fusion.Bottleneck(width=8, heads=2, mlp=2.0, bottlenecks=2, **fields)
    variables = jax.jit(lambda: module.init(jax.random.key(0), streams(), train=False))()
    return jax.jit(lambda streams: module.apply(variables, streams, train=False)), variables


def heard(run):
    """Whether "a" comes out different when "b" does go in different."""
    one = streams()
    other = {**one, "b": one["b"].replace(values=one["b"].values + 1)}
    return np.abs(run(one).values[:, SIGHT] - run(other).values[:, SIGHT]).max()


def test_modalities_hear_each_other_one_layer_after_they_meet():
    assert heard(runner(depth=2, start=0)[0]) > 1e-4
    assert heard(runner(depth=2, start=1)[0]) == 0  # met in the last layer: only the bottlenecks have heard both


def test_modalities_that_never_meet_have_no_bottlenecks():
    run, variables = runner(depth=1, start=1)
    assert heard(run) == 0
    assert "bottleneck" not in variables["params"]
    assert run(streams()).values.shape == (2, 5, 8)


def test_bottlenecks_are_averaged_over_the_modalities_present():
    run, _ = runner(depth=1, start=0)
    both = streams()

    def without(name):
        return {**both, name: both[name].replace(mask=jnp.zeros_like(both[name].mask))}

    def shared(streams):
        """The bottlenecks before their last norm are a mean; after it they lie on the mean's ray."""
        return np.asarray(run(streams).values[:, 5:])

    alone_a, alone_b, together = shared(without("b")), shared(without("a")), shared(both)
    for row in range(2):
        for token in range(2):
            basis = np.stack([alone_a[row, token], alone_b[row, token]], 1)
            weights, rest, *_ = np.linalg.lstsq(basis, together[row, token], rcond=None)
            assert np.all(weights > 0)
            assert np.all(rest < 1e-6)


def test_packed_rows_are_refused():
    packed = streams()["a"].replace(segments=jnp.ones((2, 3), jnp.int32))
    with pytest.raises(UserError, match="packed"):
        fusion.Bottleneck().init(jax.random.key(0), streams(a=packed), train=False)
