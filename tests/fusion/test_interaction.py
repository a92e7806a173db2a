"""Which fusions can learn what two modalities say only together: exclusive or, each alone at chance."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmjax import fusion, heads
from mmjax.core import Tokens

# What these give is a sum of what each stream says. Votes of experts are additive in logits, which gets three of the
# four cases right at best; behind the others the LayerNorm of a head finds exclusive or in the length of the sum,
# sooner or later, and no more than that.
ADDITIVE = {"Attended", "Experts", "Late", "Sum", "Towers"}
CODES = {"a": (3, np.random.default_rng(0).normal(size=(2, 8))), "b": (2, np.random.default_rng(1).normal(size=(2, 6)))}


def draw(key, rows):
    """Two streams that each spell a bit in noise, and whether the bits differ."""
    bits_key, noise_key = jax.random.split(key)
    bits = jax.random.bernoulli(bits_key, shape=(2, rows)).astype(int)
    streams = {}
    for i, (name, (length, codes)) in enumerate(CODES.items()):
        noise = jax.random.normal(jax.random.fold_in(noise_key, i), (rows, length, codes.shape[1]))
        streams[name] = Tokens(jnp.asarray(codes)[bits[i]][:, None] + 0.3 * noise, jnp.ones((rows, length), bool))
    return streams, bits[0] ^ bits[1]


def accuracy(module, head, *, steps):
    """On fresh rows, after so many steps of Adam from one seed."""
    optimizer = optax.adam(3e-3)

    def logits(params, streams):
        fused = module.apply({"params": params[0]}, streams, train=False)
        return head.apply({"params": params[1]}, fused, train=False)

    def step(carry, key):
        params, state = carry
        streams, answers = draw(key, 64)

        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(logits(params, streams), answers).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def run(key):
        streams, _ = draw(key, 2)
        fused, held = module.init_with_output(key, streams, train=False)
        params = held["params"], head.init(key, fused, train=False).get("params", {})
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(key, steps))
        streams, answers = draw(jax.random.key(99), 500)
        return jnp.mean(jnp.argmax(logits(params, streams), axis=-1) == answers)

    return float(run(jax.random.key(0)))


@pytest.mark.parametrize("name", sorted(set(fusion.__all__) - ADDITIVE))
def test_learns_what_streams_say_together(name):
    kind = getattr(fusion, name)
    fields = {field: value for field, value in {"heads": 2, "depth": 1}.items() if hasattr(kind, field)}
    assert accuracy(kind(width=16, **fields), heads.Classify(2), steps=120) > 0.97


@pytest.mark.parametrize("rule", ["mean", "weights", "product", "stacking"])
def test_no_vote_learns_it(rule):
    assert accuracy(fusion.Experts(2), heads.Vote(2, rule=rule), steps=50) < 0.8
