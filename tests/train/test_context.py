"""Attention over tokens on several devices is attention: values, gradients, masks, and what travels."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import flops, nn
from mmjax.core import Tokens, UserError
from mmjax.train import Mesh, context
from mmjax.train.activation import Placed
from tools import hlo

MESHES = {"ring": Mesh(data=2, context=4), "heads": Mesh(data=2, context=2, tensor=2, exchange="heads")}
KINDS = {
    "whole": {},
    "masked": {"mask": True},
    "causal": {"causal": True},
    "band": {"causal": True, "reach": (2, 0), "mask": True},
    "both sides": {"reach": (3, 3)},
    "bias": {"bias": True, "causal": True},
    "cross": {"queries": 9},
}


def given(length=14, queries=None, mask=False, bias=False, causal=False, reach=None):
    """Query, key, value, bias; two documents a row and padding where ``mask``; 4 heads in 4 groups."""
    keys = jax.random.split(jax.random.key(length), 4)
    b, h, n = 2, 4, queries or length
    arrays = [jax.random.normal(k, (b, m, 4, h)) for k, m in zip(keys, (n, length, length), strict=False)]
    segments = jnp.asarray([[1] * 5 + [2] * (length - 5), [1] * 8 + [2] * (length - 10) + [0] * 2])
    same = (segments[:, :, None] == segments[:, None, :]) & (segments > 0)[:, None, :]
    extra = jax.random.normal(keys[3], (1, 4, n, length)) if bias else None
    return arrays, extra, same[:, None] if mask else None, {"causal": causal, "reach": reach}


def both(settings, arrays, extra, allowed, how):
    """The same scalar and its gradients, on one device and on eight."""
    mesh = settings.build()

    def plain(q, k, v, bias):
        how_plain = {"is_causal": how["causal"], "local_window_size": how["reach"]}
        return jax.nn.dot_product_attention(q, k, v, bias, allowed, **how_plain)

    def apart(q, k, v, bias):
        return context.attend(q, k, v, bias, allowed, **how, mesh=mesh, exchange=settings.exchange)

    seen = jnp.ones(arrays[0].shape[:2]) if allowed is None else jnp.any(allowed, axis=(1, 3))

    def scalar(way):
        return lambda *given: jnp.sum(jnp.sin(way(*given)) * seen[..., None, None])

    numbers = (0, 1, 2) if extra is None else (0, 1, 2, 3)
    compiled = [
        jax.jit(jax.value_and_grad(scalar(way), numbers)).lower(*arrays, extra).compile() for way in (plain, apart)
    ]
    return [c(*arrays, extra) for c in compiled], compiled[1].as_text()


@pytest.mark.parametrize("way", MESHES)
@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_the_same_on_several_devices(kind, way):
    (one, many), text = both(MESHES[way], *given(**KINDS[kind]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-5), one, many)
    assert ("collective-permute" if way == "ring" else "all-to-all") in text


def test_shared_keys_go_round_as_they_are():
    arrays, *rest = given(causal=True)
    arrays = [arrays[0], *(x[:, :, :2] for x in arrays[1:])]
    (one, many), text = both(MESHES["ring"], arrays, *rest)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-5), one, many)
    passed = set(re.findall(r"f32\[([\d,]+)\]\S* collective-permute", text))
    assert passed and all(shape.startswith("1,4,2,") for shape in passed), passed  # of a row, a quarter, two heads


@pytest.mark.parametrize("way", ["ring", "heads"])
def test_nothing_travels_further_than_it_has_to(way):
    """Round a ring keys and values go forth and back, and their gradients home; else there are eight exchanges."""
    arrays, *rest = given(length=16)
    settings = Mesh(data=2, context=4, exchange=way)
    part = 4 * arrays[0].size // 8  # bytes of a device's own tokens, in float32
    sent = hlo.traffic(both(settings, arrays, *rest)[1], 8)
    if way == "ring":
        assert sent["collective-permute"]["bytes"] == (2 + 2 + 2) * 3 * part
    else:
        assert sent["all-to-all"]["bytes"] == 8 * 3 * part // 4


def test_heads_that_cannot_change_places_are_an_error():
    arrays, *rest = given()
    with pytest.raises(UserError, match=r"4 heads do not divide by mesh.context=8; use 'ring'"):
        both(Mesh(data=1, context=8, exchange="heads"), arrays, *rest)


@pytest.mark.parametrize("way", MESHES)
def test_the_way_changes_little_about_the_work_that_is_counted(way):
    """Half of a causal product counts wherever its tokens lie; scores that are made again for the way back do not."""
    model, tokens = nn.Trunk(depth=1, heads=4, causal=True), Tokens(jnp.zeros((2, 64, 32)), jnp.ones((2, 64), bool))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, train=False))
    placed = Placed(model, MESHES[way].build(), MESHES[way])

    def count(apply):
        return flops.useful(jax.grad(lambda v: jnp.sum(apply(v, tokens, train=False).values)), variables)

    assert count(model.apply) <= count(placed.apply) <= 1.01 * count(model.apply)
