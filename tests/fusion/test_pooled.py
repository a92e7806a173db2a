"""Fusions of one vector a stream."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import fusion
from mmjax.core import Tokens

RNG = np.random.default_rng(0)
STREAMS = {
    name: Tokens(jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32), jnp.asarray(here, bool))
    for name, here in {"a": [[1, 1, 0], [0, 0, 0]], "b": [[1, 1, 1], [1, 1, 1]]}.items()
}


def run(module, streams=STREAMS):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), STREAMS, train=False))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    return jax.jit(lambda streams: module.apply({"params": params}, streams, train=False))(streams), params


def linear(layer, x):
    return x @ np.asarray(layer["kernel"]) + np.asarray(layer.get("bias", 0))


def means():
    return np.asarray(STREAMS["a"].values[0, :2]).mean(0), np.asarray(STREAMS["b"].values).mean(1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gated_units_let_all_streams_set_each_gate():
    out, params = run(fusion.Gated(width=5))
    a, b = means()
    total = sum(
        sigmoid(linear(params[f"gate_{name}_from_a"], a) + linear(params[f"gate_{name}_from_b"], b[0]))
        * np.tanh(linear(params[f"project_{name}"], x))
        for name, x in (("a", a), ("b", b[0]))
    )
    alone = sigmoid(linear(params["gate_b_from_b"], b[1])) * np.tanh(linear(params["project_b"], b[1]))
    np.testing.assert_allclose(out.values[:, 0], [total, alone], rtol=1e-4, atol=1e-5)


def test_attention_over_modalities_is_shared_out_among_those_present():
    out, params = run(fusion.Attended(width=5))
    a, b = means()
    hidden = linear(params["project_a"], a), *linear(params["project_b"], b)
    scores = [np.exp(linear(params["score"], np.tanh(linear(params["attention"], h)))) for h in hidden]
    both = (scores[0] * hidden[0] + scores[1] * hidden[1]) / (scores[0] + scores[1])
    np.testing.assert_allclose(out.values[:, 0], [both, hidden[2]], rtol=1e-4, atol=1e-5)


def test_an_expert_alone_has_the_whole_say():
    """Row 1 has "b" alone: with one expert a modality, its vector comes out, whatever the gate says of it."""
    out, params = run(fusion.Mixture(width=5, experts=1))
    hidden = jax.nn.gelu(jnp.asarray(linear(params["project_b"], means()[1][1])), approximate=False)
    expert = params["expert_b"]
    np.testing.assert_allclose(
        out.values[1, 0], hidden @ expert["kernel"][:, 0] + expert["bias"][0], rtol=1e-4, atol=1e-5
    )


def test_shares_are_of_all_experts_that_are_there():
    means = {name: Tokens(part.values[:, :1], part.mask[:, :1]) for name, part in STREAMS.items()}
    scores = {name: jnp.asarray(RNG.normal(size=(2, 1, 3)), jnp.float32) for name in STREAMS}
    shares = fusion.pooled.shares(scores, means)
    both = np.exp(np.concatenate([scores["a"][0, 0], scores["b"][0, 0]]))
    np.testing.assert_allclose(np.concatenate([shares["a"][0, 0], shares["b"][0, 0]]), both / both.sum(), rtol=1e-5)
    np.testing.assert_array_equal(shares["a"][1, 0], np.zeros(3))
    np.testing.assert_allclose(shares["b"][1, 0], jax.nn.softmax(scores["b"][1, 0]), rtol=1e-5)


def test_experts_keep_their_places_when_others_are_left_out():
    out, params = run(fusion.Experts(3))
    left, _ = run(fusion.Experts(3), {"b": STREAMS["b"]})
    np.testing.assert_array_equal(out.mask, [[True, True], [False, True]])
    np.testing.assert_array_equal(left.mask, [[False, True]] * 2)
    np.testing.assert_allclose(left.values[:, 1], out.values[:, 1], rtol=1e-5, atol=1e-6)
    assert not np.any(left.values[:, 0])
    assert params["project_a"]["kernel"].shape == (4, 3)


def test_central_sums_at_every_depth():
    """With the weights of one depth at 0, the others still bring the streams in."""
    module = fusion.Central(width=8, depth=1, heads=2)
    params = jax.jit(lambda: module.init(jax.random.key(0), STREAMS, train=False))()["params"]

    @jax.jit
    def sensitivity(params):
        def total(values):
            streams = {**STREAMS, "a": STREAMS["a"].replace(values=values)}
            return module.apply({"params": params}, streams, train=False).values[0, 0, 0]

        return jnp.abs(jax.grad(total)(STREAMS["a"].values)).max()

    muted = [{**params, **{f"weight_{i}_{n}": jnp.zeros(()) for i in depths for n in "ab"}} for depths in ([0], [1])]
    assert min(sensitivity(one) for one in muted) > 1e-4
    assert sensitivity({**muted[0], **{f"weight_1_{n}": jnp.zeros(()) for n in "ab"}}) == 0
