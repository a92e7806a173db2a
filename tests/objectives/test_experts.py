"""Every expert's own cross-entropy, against float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

RNG = np.random.default_rng(0)
LOGITS = np.float64(np.float32(3 * RNG.normal(size=(5, 3, 4))))
HERE = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]], bool)
LABELS, ANSWERED = np.array([0, 3, 1, -1, 2], np.int32), np.array([1, 1, 1, 0, 1], bool)
SHARES = RNG.dirichlet(np.ones(4), 5)
BATCH = Batch({}, {"y": Signal(jnp.asarray(LABELS), jnp.asarray(ANSWERED))})
SHARED = Batch({}, {"y": Signal(jnp.asarray(SHARES, jnp.float32), jnp.repeat(jnp.asarray(ANSWERED)[:, None], 4, 1))})


def outputs(logits):
    return Outputs(streams={}, fused=Tokens(jnp.asarray(logits, jnp.float32), jnp.asarray(HERE)), heads={})


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("batch", "shares"), [(BATCH, np.eye(4)[LABELS]), (SHARED, SHARES)], ids=["class", "shares"])
def test_is_the_sum_over_the_experts_of_a_row_averaged_over_answered_rows(batch, shares, smoothing):
    logs = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    total, slope = 0.0, np.zeros_like(LOGITS)
    for row, expert in zip(*np.nonzero(HERE & ANSWERED[:, None]), strict=True):
        soft = (1 - smoothing) * shares[row] + smoothing / 4
        total -= (soft * logs[row, expert]).sum() / 4
        slope[row, expert] = (np.exp(logs[row, expert]) - soft) / 4
    objective = objectives.Experts("y", smoothing=smoothing)
    dirty = np.where(HERE[..., None], LOGITS, np.nan)
    value, gradient = jax.value_and_grad(lambda logits: objective(outputs(logits), batch).value())(
        jnp.asarray(dirty, jnp.float32)
    )
    np.testing.assert_allclose(value, total, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, atol=1e-7)


def test_the_count_is_the_batchs_own_even_where_no_expert_is_there():
    silent = outputs(LOGITS)
    silent = silent.replace(fused=silent.fused.replace(mask=jnp.zeros_like(silent.fused.mask)))
    mean = objectives.Experts("y")(silent, BATCH)
    assert (mean.total, mean.count) == (0, 4)


def test_mistakes_are_told():
    with pytest.raises(UserError, match="no target 'z'; it has y"):
        objectives.Experts("z")(outputs(LOGITS), BATCH)
    with pytest.raises(UserError, match="smoothing"):
        objectives.Experts("y", smoothing=1.0)
