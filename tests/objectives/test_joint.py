"""Joint-embedding losses against the papers' formulas in float64 numpy: value, gradient, masks, one row alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError

ROWS, WIDTH, NAMES = 12, 4, ("image", "sound")
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(ROWS, 2, WIDTH)) * RNG.uniform(0.3, 1.5, (1, 2, WIDTH))
MASK = RNG.random((ROWS, 2)) < 0.85
OBJECTIVES = {
    "vicreg": objectives.VICReg(),
    "barlow": objectives.BarlowTwins(),
    "simclr": objectives.SimCLR(),
    "cca": objectives.DeepCCA(),
}


def loss(objective, values, mask=MASK):
    tokens = Tokens(jnp.asarray(values), jnp.asarray(mask))
    streams = {name: Tokens(tokens.values[:, i : i + 1], tokens.mask[:, i : i + 1]) for i, name in enumerate(NAMES)}
    inputs = {name: Signal(part.values, part.mask) for name, part in streams.items()}
    return objective(Outputs(streams, tokens, {}), Batch(inputs, {})).value()


def vicreg(a, b):
    def side(z):
        table = np.cov(z.T)
        spread = np.mean(np.maximum(1 - np.sqrt(np.var(z, axis=0, ddof=1) + 1e-4), 0)) / 2
        return 25 * spread + np.sum(table[~np.eye(WIDTH, dtype=bool)] ** 2) / WIDTH

    return 25 * np.mean((a - b) ** 2) + side(a) + side(b)


def barlow(a, b):
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (a, b))
    table = a.T @ b / len(a)
    weights = np.where(np.eye(WIDTH), 1, 0.0051)
    return np.sum(weights * (table - np.eye(WIDTH)) ** 2)


def simclr(a, b):
    both = np.concatenate([a, b])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    n, total = len(a), 0.0
    for i in range(2 * n):
        scores = np.exp(both @ both[i] / 0.5)
        total -= np.log(scores[(i + n) % (2 * n)] / (scores.sum() - scores[i]))
    return total / (2 * n)


def cca(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    roots = []
    for z in (a, b):
        values, basis = np.linalg.eigh(z.T @ z / (len(z) - 1) + 1e-3 * np.eye(WIDTH))
        roots.append(basis / np.sqrt(values) @ basis.T)
    return -np.linalg.norm(roots[0] @ a.T @ b / (len(a) - 1) @ roots[1], "nuc")


FORMULAS = [("vicreg", vicreg), ("barlow", barlow), ("simclr", simclr), ("cca", cca)]


@pytest.mark.parametrize("name, reference", FORMULAS)
def test_equals_the_papers_formula_in_float64(name, reference):
    kept = MASK.all(axis=1)

    def wanted(values):
        return reference(values[kept, 0], values[kept, 1])

    with jax.enable_x64(True):
        found, slopes = jax.value_and_grad(lambda v: loss(OBJECTIVES[name], v))(VALUES)
        slopes = np.asarray(slopes)
    np.testing.assert_allclose(found, wanted(VALUES), rtol=1e-6)
    step = 1e-5
    for seed in range(5):
        way = np.random.default_rng(seed).normal(size=VALUES.shape)
        difference = (wanted(VALUES + step * way) - wanted(VALUES - step * way)) / (2 * step)
        np.testing.assert_allclose(np.sum(slopes * way), difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_masked_rows_may_hold_anything_and_few_are_finite(name):
    spoilt = jnp.where(MASK[..., None], VALUES, jnp.nan).astype(jnp.float32)
    gradient = jax.jit(jax.value_and_grad(lambda v, mask: loss(OBJECTIVES[name], v, mask)))
    found, same = gradient(spoilt, MASK), gradient(VALUES.astype(np.float32), MASK)
    jax.tree.map(np.testing.assert_array_equal, found, same)
    assert np.all(np.isfinite(found[1])) and not np.any(found[1][~MASK.all(axis=1)])
    for many in (0, 1):
        value, slopes = gradient(spoilt, MASK & (np.cumsum(MASK.all(axis=1)) <= many)[:, None])
        assert np.isfinite(value) and np.all(np.isfinite(slopes)) and (many or not value)


def test_one_side_alone_is_refused():
    with pytest.raises(UserError, match="two modalities or more are wanted; got image"):
        loss(objectives.VICReg(streams=("image",)), VALUES)
