"""A head learns what its teacher says, in float64 numpy's value and gradient; the teacher learns nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

RNG = np.random.default_rng(0)
SAID, TAUGHT = RNG.normal(size=(6, 4)), 2 * RNG.normal(size=(6, 4))
HERE = {"image": np.asarray([1, 1, 0, 1, 0, 0], bool), "sound": np.asarray([1, 0, 1, 1, 0, 1], bool)}


def loss(objective, said, taught):
    inputs = {
        name: Signal(jnp.zeros((6, 2)), jnp.asarray(mask)[:, None] & jnp.ones((6, 2), bool))
        for name, mask in HERE.items()
    }
    fused = Tokens(jnp.zeros((6, 1, 1)), jnp.ones((6, 1), bool))
    return objective(Outputs({}, fused, {"small": said, "large": taught}), Batch(inputs, {})).value()


def reference(said, taught, here, temperature):
    said, taught = (x[here] / temperature for x in (said, taught))
    logs = [x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (said, taught)]
    return temperature**2 * np.mean(np.sum(np.exp(logs[1]) * (logs[1] - logs[0]), axis=1))


@pytest.mark.parametrize("stream", ["", "image"])
def test_equals_the_formula_in_float64(stream):
    objective = objectives.Distillation("small", "large", stream=stream, temperature=3.0)
    here = HERE[stream] if stream else HERE["image"] | HERE["sound"]
    spoilt = np.where(here[:, None], SAID, np.nan)
    with jax.enable_x64(True):
        found, slopes = jax.value_and_grad(lambda *x: loss(objective, *x), argnums=(0, 1))(spoilt, TAUGHT)
        slopes = [np.asarray(slope) for slope in slopes]
    np.testing.assert_allclose(found, reference(SAID, TAUGHT, here, 3.0), rtol=1e-6)
    assert not slopes[1].any() and not slopes[0][~here].any()
    for row, column in np.argwhere(here[:, None] & np.ones((6, 4), bool)):
        step = 1e-5 * ((np.arange(6)[:, None] == row) & (np.arange(4) == column))
        both = [reference(SAID + sign * step, TAUGHT, here, 3.0) for sign in (1, -1)]
        np.testing.assert_allclose(slopes[0][row, column], (both[0] - both[1]) / 2e-5, rtol=1e-6, atol=1e-9)


def test_what_cannot_be_learned_from_is_said():
    with pytest.raises(UserError, match="the model has no head 'huge'"):
        loss(objectives.Distillation("small", "huge"), SAID, TAUGHT)
    with pytest.raises(UserError, match="cannot learn from"):
        loss(objectives.Distillation("small", "large"), SAID, TAUGHT[:, :3])
