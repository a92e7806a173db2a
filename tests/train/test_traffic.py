"""What a step sends between eight devices is the least that its mesh needs, by the compiled text.

Words' logits are made in several pieces: what a piece sent would be sent as many times.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.core import Factored
from mmjax.objectives import chunked
from mmjax.train import Mesh, place
from mmjax.train.shares import Shares
from tools import hlo
from tools.bench import traffic

WAYS = traffic.ways(8)
WORDS = (
    Mesh(data=2, fsdp=2, context=2, fsdp_size=1),
    Mesh(data=2, fsdp=2, tensor=2, fsdp_size=1),
    Mesh(data=4, fsdp=2, fsdp_size=1, rules=((r"head/kernel$", (None, "data+fsdp")),)),
)


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
@pytest.mark.parametrize("settings", WORDS, ids=["context", "tensor", "several axes"])
def test_shares_of_the_rows_give_what_all_of_them_give(settings, shape):
    keys = jax.random.split(jax.random.key(0), 4)
    kernel, features = jax.random.normal(keys[0], (4, 8)), jax.random.normal(keys[1], (*shape, 4))
    labels, mask = jax.random.randint(keys[2], shape, 0, 8), jax.random.uniform(keys[3], shape) < 0.7
    mesh = settings.build()

    def total(shares, features, kernel):
        own = chunked.losses(Factored(features, kernel, shares), labels, most=4)
        weighted = jnp.linspace(0.5, 2.0, 8)
        return chunked.total(features, kernel, labels, mask, weighted, 0.1, 4, shares) + jnp.sum(jnp.sin(own))

    with jax.set_mesh(mesh):
        one, many = (
            jax.jit(jax.value_and_grad(lambda *given: total(shares, *given), argnums=(0, 1)))(features, kernel)  # noqa: B023
            for shares in (None, Shares(mesh, settings, "head/kernel"))
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), one, many)


@pytest.mark.parametrize("loss", ["total", "losses"])
def test_the_words_kernel_is_gathered_once_and_its_gradient_scattered_once(loss):
    settings = Mesh(data=1, fsdp=8, fsdp_size=1)
    mesh, shape = settings.build(), (8, 66)
    features, kernel, labels = jnp.ones((*shape, 16)), jnp.ones((16, 512)), jnp.zeros(shape, jnp.int32)
    shares = Shares(mesh, settings, "head/kernel")

    def value(kernel, features, labels):
        if loss == "losses":
            return jnp.sum(chunked.losses(Factored(features, kernel, shares), labels, most=4))
        return chunked.total(features, kernel, labels, jnp.ones(shape, bool), jnp.ones(512), 0.0, 4, shares)

    with jax.set_mesh(mesh):
        given = shares.placed(kernel), *place.put((features, labels), mesh)
        text = jax.jit(jax.grad(value)).lower(*given).compile().as_text()
    sent = {kind: part["bytes"] for kind, part in hlo.traffic(text, 8).items()}
    assert sent["all-gather"] == sent["reduce-scatter"] == 4 * kernel.size * 7 // 8
    assert sent.get("all-reduce", 0) < kernel.size
