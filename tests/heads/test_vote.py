"""Votes of experts, against float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import heads
from mmjax.core import Tokens, UserError

RNG = np.random.default_rng(0)
LOGITS = np.float64(np.float32(2 * RNG.normal(size=(4, 3, 5))))
HERE = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
TOKENS = Tokens(jnp.asarray(np.where(HERE[..., None], LOGITS, np.nan), jnp.float32), jnp.asarray(HERE))


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def vote(rule, params):
    params = {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}
    return jax.jit(lambda t: heads.Vote(5, rule=rule).apply({"params": params}, t, train=False))(TOKENS)


def test_mean_is_over_those_present():
    expected = [LOGITS[row, HERE[row]].mean(0) if HERE[row].any() else np.zeros(5) for row in range(4)]
    np.testing.assert_allclose(vote("mean", {}), expected, rtol=1e-5, atol=1e-6)


def test_weights_are_shared_out_among_those_present():
    weight = np.array([0.3, -1.0, 2.0])
    expected = np.zeros((4, 5))
    for row in range(3):
        raw = np.exp(weight[HERE[row]])
        expected[row] = raw / raw.sum() @ LOGITS[row, HERE[row]]
    np.testing.assert_allclose(vote("weights", {"weight": weight}), expected, rtol=1e-5, atol=1e-6)


def test_product_divides_out_the_prior_that_every_expert_counts():
    log_temperature, prior = np.array([0.4, -0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    expected = np.zeros((4, 5))
    for row in range(4):
        each = log_softmax(LOGITS[row] / np.exp(log_temperature)[:, None])[HERE[row]]
        expected[row] = log_softmax(each.sum(0) - (HERE[row].sum() - 1) * np.log(prior))
    found = vote("product", {"log_temperature": log_temperature, "log_prior": np.log(prior) + 3})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.exp(found[3]), prior, rtol=1e-5)  # nothing is known but the prior


def test_a_product_of_true_posteriors_is_bayes_rule():
    """Two signals that are independent given the class."""
    prior = np.array([0.5, 0.3, 0.2])
    one, other = RNG.dirichlet(np.ones(4), 3), RNG.dirichlet(np.ones(6), 3)  # p(signal | class)
    x, z = 2, 5
    truth = prior * one[:, x] * other[:, z]
    posteriors = np.log(np.stack([prior * one[:, x], prior * other[:, z]]))[None] + 1.0
    params = {"log_temperature": jnp.zeros(2), "log_prior": jnp.asarray(np.log(prior), jnp.float32)}
    tokens = Tokens(jnp.asarray(posteriors, jnp.float32), jnp.ones((1, 2), bool))
    found = heads.Vote(3, rule="product").apply({"params": params}, tokens, train=False)
    np.testing.assert_allclose(np.exp(found[0]), truth / truth.sum(), rtol=1e-5)


def test_stacking_is_linear_in_all_logits_and_begins_as_their_sum():
    kernel, bias = RNG.normal(size=(3, 5, 5)), RNG.normal(size=5)
    clean = np.where(HERE[..., None], LOGITS, 0)
    expected = clean.reshape(4, 15) @ kernel.reshape(15, 5) + bias
    np.testing.assert_allclose(vote("stacking", {"kernel": kernel, "bias": bias}), expected, rtol=1e-4, atol=1e-5)
    begun, _ = heads.Vote(5, rule="stacking").init_with_output(jax.random.key(0), TOKENS, train=False)
    np.testing.assert_allclose(begun, clean.sum(1), rtol=1e-5, atol=1e-6)


def test_apart_the_experts_learn_nothing_from_the_vote():
    for apart in (False, True):
        module = heads.Vote(5, apart=apart)

        def total(values, module=module):
            return module.apply({}, TOKENS.replace(values=values), train=False)[0, 0]

        assert np.any(jax.grad(total)(jnp.zeros_like(TOKENS.values))) == (not apart)


def test_mistakes_are_told():
    for module, message in [
        (heads.Vote(5, rule="most"), "rule='most' is no way to vote; there are mean, weights, product, stacking"),
        (heads.Vote(4), r"fusion.Experts\(classes=4\) gives; there are tokens 5 wide"),
    ]:
        with pytest.raises(UserError, match=message):
            module.apply({}, TOKENS, train=False)
