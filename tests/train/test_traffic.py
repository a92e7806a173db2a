"""What a step sends between eight devices is the least that its mesh needs, by the compiled text.

Words' logits are made in several pieces: what a piece sent would be sent as many times.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.core import Factored
from mmjax.objectives import chunked
from mmjax.train import Mesh
from mmjax.train.shares import Shares
from tools.bench import traffic

WAYS = traffic.ways(8)


@pytest.fixture(autouse=True)
def many_pieces(monkeypatch):
    """Cut the words' loss where nobody would."""
    monkeypatch.setattr(chunked, "_ROWS", 128)
    monkeypatch.setattr(chunked, "_LOGITS", 1)


@pytest.mark.parametrize("name", WAYS)
def test_a_mesh_sends_the_least_that_it_needs(name):
    ready = traffic.prepared(WAYS[name])
    sent, wanted = traffic.sent(ready), traffic.least(WAYS[name], ready)
    assert 0.98 * wanted <= sum(sent.values()) <= 1.02 * wanted, (wanted, sent)


@pytest.mark.parametrize("shape", [(8, 66), (520,), (6, 90)], ids=["places", "rows", "odd"])
def test_shares_of_the_rows_give_what_all_of_them_give(shape):
    keys = jax.random.split(jax.random.key(0), 4)
    kernel, features = jax.random.normal(keys[0], (4, 6)), jax.random.normal(keys[1], (*shape, 4))
    labels, mask = jax.random.randint(keys[2], shape, 0, 6), jax.random.uniform(keys[3], shape) < 0.7
    settings = Mesh(data=2, fsdp=2, context=2)
    mesh = settings.build()

    def total(shares, features, kernel):
        own = chunked.losses(Factored(features, kernel, shares), labels, most=4)
        weighted = jnp.linspace(0.5, 2.0, 6)
        return chunked.total(features, kernel, labels, mask, weighted, 0.1, 4, shares) + jnp.sum(jnp.sin(own))

    with jax.set_mesh(mesh):
        one, many = (
            jax.jit(jax.value_and_grad(lambda *given: total(shares, *given), argnums=(0, 1)))(features, kernel)  # noqa: B023
            for shares in (None, Shares(mesh, settings, "head/kernel"))
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), one, many)
