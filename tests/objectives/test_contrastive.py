"""Contrastive losses against the dense formula in float64: value, gradients, masks; on eight devices as on one."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError, plain
from mmjax.train import Mesh, across, sharding

ROWS, WIDTH, NAMES = 16, 5, ("image", "sound", "text")
KINDS = {"clip": {}, "siglip": {"kind": "sigmoid"}, "hard": {"hard": 0.5}, "anchor": {"anchor": "sound"}}
VALUES = np.random.default_rng(0).normal(size=(ROWS, 3, WIDTH))
VALUES /= np.linalg.norm(VALUES, axis=-1, keepdims=True)
MASK = np.random.default_rng(1).random((ROWS, 3)) < 0.8
SHARPNESS = np.asarray([3.0, -1.5])


def loss(objective, values, sharpness, mask=MASK, **across):
    tokens = Tokens(jnp.asarray(values), jnp.asarray(mask))
    streams = {name: Tokens(tokens.values[:, i : i + 1], tokens.mask[:, i : i + 1]) for i, name in enumerate(NAMES)}
    heads = {"scale": jnp.broadcast_to(sharpness, (len(values), 2))}
    inputs = {name: Signal(part.values, part.mask) for name, part in streams.items()}
    return objective(Outputs(streams, tokens, heads), Batch(inputs, {}), **across).value()


def reference(objective, values, sharpness, mask=MASK):
    """The formulas of the papers, with all products of all with all."""
    scale, added = sharpness
    pairs = [p for p in itertools.combinations(range(3), 2) if not objective.anchor or 1 in p]
    total, count = 0.0, 0
    for one, other in pairs:
        kept = mask[:, one] & mask[:, other]
        logits = scale * values[kept, one] @ values[kept, other].T + added
        n, own = len(logits), jnp.diagonal(logits)
        count += n
        if objective.kind == "sigmoid":
            signs = 2 * np.eye(n) - 1
            total -= jnp.sum(jax.nn.log_sigmoid(signs * logits))
            continue
        for table in (logits, logits.T):
            wrong = table[~np.eye(n, dtype=bool)].reshape(n, n - 1)
            powers = jnp.exp(objective.hard * wrong)
            weights = powers / jnp.mean(powers, axis=1, keepdims=True)
            total += jnp.sum(jnp.log(jnp.exp(own) + jnp.sum(weights * jnp.exp(wrong), axis=1)) - own) / 2
    return total / count


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("chunk", [3, 256])
def test_equals_the_dense_formula_in_float64(name, chunk):
    with jax.enable_x64(True):
        objective = objectives.Contrastive(**KINDS[name], chunk=chunk)

        def both(function):
            return jax.jit(jax.value_and_grad(lambda v, s: function(objective, v, s), argnums=(0, 1)))(
                VALUES, SHARPNESS
            )

        (found, grads), (expected, wanted) = both(loss), both(reference)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), grads, wanted)


@pytest.mark.parametrize("axes", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}], ids=["eight", "four"])
@pytest.mark.parametrize("name", KINDS)
def test_eight_devices_are_as_one(name, axes):
    objective = objectives.Contrastive(**KINDS[name], chunk=1)
    given = VALUES.astype(np.float32), SHARPNESS.astype(np.float32)
    mesh = Mesh(**axes).build()
    ring = across.spread(objective, mesh)
    assert ring.ring.parts == 8 // axes.get("tensor", 1)

    def step(v, s):
        return jax.value_and_grad(lambda v, s: loss(ring, v, s), argnums=(0, 1))(v, s)

    one = jax.jit(jax.value_and_grad(lambda v, s: loss(objective, v, s), argnums=(0, 1)))(*given)
    rows, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    lowered = jax.jit(step, in_shardings=(rows, whole)).lower(*given)
    many = lowered.compile()(*jax.device_put(given, (rows, whole)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6), one, many)
    assert "collective_permute" in lowered.as_text()


def test_masked_rows_may_hold_anything_and_one_alone_is_finite():
    objective = objectives.Contrastive(hard=0.5)
    spoilt = jnp.where(MASK[..., None], VALUES, jnp.nan).astype(jnp.float32)
    gradient = jax.jit(jax.value_and_grad(lambda v, mask: loss(objective, v, SHARPNESS, mask)))
    found, same = gradient(spoilt, MASK), gradient(VALUES.astype(np.float32), MASK)
    jax.tree.map(np.testing.assert_array_equal, found, same)
    assert not np.any(found[1][~MASK]) and np.all(np.isfinite(found[1]))
    for kept in (0, 1):
        value, slopes = gradient(spoilt, MASK & (np.arange(ROWS)[:, None] < kept))
        assert value == 0 and not np.any(slopes)


def test_comparing_objectives_survive_json():
    for value in (objectives.Contrastive(streams=("a", "b"), hard=0.5), objectives.VICReg(), objectives.SimCLR()):
        assert plain.from_plain(json.loads(json.dumps(plain.to_plain(value)))) == value


def test_what_cannot_be_compared_is_said():
    with pytest.raises(UserError, match="no contrast; there are softmax, sigmoid"):
        objectives.Contrastive(kind="cosine")
    with pytest.raises(UserError, match="the model has no modality 'smell'"):
        loss(objectives.Contrastive(streams=("image", "smell")), VALUES, SHARPNESS)
    with pytest.raises(UserError, match="head 'sharp' is wanted"):
        loss(objectives.Contrastive(scale="sharp"), VALUES, SHARPNESS)
