"""Experts against a loop over tokens on paper, what stays out, and what balances them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError


def made(mixture, *, b=2, n=6, d=8, seed=0):
    values = jax.random.normal(jax.random.key(seed), (b, n, d))
    return values, mixture.init(jax.random.key(1), values, train=False)["params"]


def by_hand(params, values, mask, *, chosen, room):
    """A loop over tokens and choices, in float64."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    values, out = np.asarray(values, np.float64), np.zeros(values.shape)
    up, down = params["experts"]["up"], params["experts"]["down"]
    for row in range(len(values)):
        logits = values[row] @ params["router"]["kernel"]
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        order = np.argsort(-shares, axis=1)[:, :chosen]
        taken = np.zeros(shares.shape[1], int)
        for token in range(len(values[row])):
            for choice in range(chosen):
                e = order[token, choice]
                if not mask[row, token] or taken[e] == room:
                    continue
                taken[e] += 1
                hidden = values[row, token] @ up["kernel"][e] + up["bias"][e]
                hidden = np.asarray(jax.nn.gelu(hidden, approximate=False), np.float64)
                weight = shares[token, e] / (shares[token, order[token]].sum() if chosen > 1 else 1)
                out[row, token] += weight * (hidden @ down["kernel"][e] + down["bias"][e])
    return out


@pytest.mark.parametrize("chosen, capacity, room", [(1, 1.0, 2), (2, 1.0, 4), (2, 0.0, 6), (3, 0.3, 2)])
def test_tokens_go_where_the_router_says(chosen, capacity, room):
    mixture = nn.Mixture(3, chosen=chosen, capacity=capacity, ratio=2.0)
    values, params = made(mixture)
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 1, 0]], bool)
    out = mixture.apply({"params": params}, values, jnp.asarray(mask), train=False)
    np.testing.assert_allclose(out, by_hand(params, values, mask, chosen=chosen, room=room), atol=1e-5)


def test_masked_tokens_take_nobodys_place():
    mixture = nn.Mixture(2, chosen=1, capacity=1.0)
    values, params = made(mixture)
    mask = jnp.arange(6)[None] < jnp.array([[3], [6]])
    one, other = (
        mixture.apply({"params": params}, jnp.where(mask[..., None], values, noise), mask, train=False)
        for noise in (0.0, 7.0)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.any(one[0, 3:])


def test_what_comes_later_changes_nothing_and_packed_rows_want_room_for_all():
    trunk = nn.Trunk(depth=1, heads=2, experts=4, causal=True)
    values = jax.random.normal(jax.random.key(0), (1, 16, 8))
    later = values.at[:, 8:].add(jax.random.normal(jax.random.key(1), (1, 8, 8)))
    mask = jnp.ones((1, 16), bool)
    params = trunk.init(jax.random.key(2), Tokens(values, mask), train=False)["params"]

    def said(trunk, values, segments=None):
        return trunk.apply({"params": params}, Tokens(values, mask, segments), train=False).values

    np.testing.assert_allclose(said(trunk, values)[:, :8], said(trunk, later)[:, :8], atol=1e-6)
    segments = jnp.repeat(jnp.array([[1, 2]]), 8, axis=1)
    with pytest.raises(UserError, match="of experts would be shared"):
        said(trunk, values, segments)
    roomy = trunk.clone(capacity=0.0)
    np.testing.assert_allclose(said(roomy, values, segments)[:, :8], said(roomy, later, segments)[:, :8], atol=1e-6)


def test_balance_is_one_where_all_are_asked_alike_and_pulls_there():
    mixture = nn.Mixture(4, chosen=1, balance=1.0)
    values, params = made(mixture, n=16)

    def loss(kernel):
        given = {"params": params | {"router": {"kernel": kernel}}}
        return mixture.apply(given, values, train=True, mutable=["losses"])[1]["losses"]["balance"]

    np.testing.assert_allclose(loss(jnp.zeros((8, 4))), 1.0, atol=1e-6)
    lopsided = 3 * jax.random.normal(jax.random.key(3), (8, 4))
    assert loss(lopsided) > 1.05
    down = jax.grad(loss)(lopsided)
    assert loss(lopsided - 0.5 * down / jnp.linalg.norm(down)) < loss(lopsided)


def test_more_cannot_be_chosen_than_there_are():
    with pytest.raises(UserError, match="chosen=3 of experts=2"):
        made(nn.Mixture(2, chosen=3))
