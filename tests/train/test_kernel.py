"""Makers' kernels give what the plain way gives where they fit; segments do not leak; elsewhere they stand back."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError, masks
from mmjax.nn import dot
from mmjax.train import Mesh, kernel
from mmjax.train.activation import Placed

RNG = np.random.default_rng(0)
NUMBERS = jnp.asarray(np.repeat([1, 2, 0], [60, 50, 18])[None], jnp.int32)
REAL = np.asarray(NUMBERS[0] > 0)


def drawn(groups, length=128):
    rng = np.random.default_rng(1)
    heads = 2, groups, groups
    return tuple(jnp.asarray(rng.normal(size=(1, length, count, 64)), jnp.float32) for count in heads)


@pytest.mark.parametrize("length", [128, 117, 300])
@pytest.mark.parametrize(
    ("groups", "fields"), [(2, {"causal": False, "reach": None}), (1, {"causal": True, "reach": (40, 0)})]
)
def test_splash_gives_what_the_plain_way_gives(groups, fields, length):
    """Rows of no whole tile are filled up; what the backward pass finds is no larger for it than what was made."""
    numbers = jnp.asarray(np.resize(NUMBERS[0], length)[None])
    real = np.asarray(numbers[0] > 0)
    allowed, given = masks.dense(masks.Among(numbers > 0, numbers)), drawn(groups, length)
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(1, length, 2, 64)) * real[:, None, None], jnp.float32)
    splash = kernel.splash(length, interpret=True, **fields)

    def both(how):
        out, back = jax.vjp(how, *given)
        return out[:, real], back(weights)

    ours = jax.jit(lambda: both(lambda *parts: splash(*parts, numbers)))()
    plain = jax.jit(lambda: both(lambda *parts: dot.attention(*parts, None, allowed, **fields)))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, plain)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("groups", [1, 2])
def test_what_splash_keeps_is_not_filled_up(groups, dtype):
    given = [part.astype(dtype) for part in drawn(groups, 130)]
    splash = kernel.splash(130, causal=False, reach=None, interpret=True)
    numbers = jnp.ones((1, 130), jnp.int32)
    kept = jax.eval_shape(lambda *parts: jax.vjp(lambda *own: splash(*own, numbers), *parts)[1], *given)
    shapes = [leaf.shape for leaf in jax.tree.leaves(kept)]
    assert shapes.count((1, 130, 128)) == 2 * groups  # queries, what came out; keys and values, too
    assert shapes.count((1, 130, 64)) == 4 - 2 * groups
    assert max(math.prod(shape) for shape in shapes) == 130 * 128


def test_where_nothing_is_derived_splash_keeps_nothing():
    splash = kernel.splash(130, causal=False, reach=None, interpret=True)
    told = str(jax.make_jaxpr(splash)(*drawn(2, 130), jnp.ones((1, 130), jnp.int32)).jaxpr)
    assert "no_residuals" in told and "fwd_segmented_residuals" not in told


def test_packed_documents_do_not_leak_through_splash():
    query, key, value = drawn(2)
    splash = jax.jit(kernel.splash(128, causal=False, reach=None, interpret=True))
    other = NUMBERS[0] == 2
    spoilt = (jnp.where(other[None, :, None, None], 7.0, part) for part in (query, key, value))
    before, after = splash(query, key, value, NUMBERS), splash(*spoilt, NUMBERS)
    first = np.asarray(NUMBERS[0] == 1)
    np.testing.assert_array_equal(before[:, first], after[:, first])
    assert not np.array_equal(before, after)


def test_a_kernel_is_for_its_makers_devices():
    for kind, message in (("splash", "is for tpus; these devices are cpus"), ("flash", "can be plain, cudnn, splash")):
        with pytest.raises(UserError, match=message):
            kernel.check(kind, Mesh().build())


@pytest.mark.parametrize(("rows", "length", "heads"), [(2, 128, 2), (8, 96, 2), (8, 60, 2)])
def test_where_none_fits_the_plain_way_is_taken(monkeypatch, rows, length, heads):
    """60 tokens would be more than half filling; on two rows of eight devices it is asked, once for each layer."""
    asked = []

    def splash(length, **fields):
        asked.append(length)
        return lambda query, key, value, numbers: query

    monkeypatch.setattr(kernel, "splash", splash)
    monkeypatch.setattr(kernel, "check", lambda kind, mesh: None)
    settings = Mesh(attention="splash")
    model = nn.Trunk(depth=2, heads=heads)
    tokens = Tokens(jnp.zeros((rows, length, 8)), jnp.ones((rows, length), bool))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, train=False))
    placed = Placed(model, settings.build(), settings)
    jax.eval_shape(lambda v: placed.apply(v, tokens, train=False), variables)
    assert asked == ([length, length] if length > 64 else [])
