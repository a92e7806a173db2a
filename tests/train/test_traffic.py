"""What a step sends between eight devices is the least that its mesh needs, by the compiled text.

On processors XLA sums gradients whole where a TPU or a GPU sums to each device its part, gathers once what it does not
recompute, and sums what comes back through queries, keys and values apart; the least is counted so. Words' logits are
made in several pieces: what a piece sent would be sent as many times.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.core import Factored, trees
from mmjax.objectives import chunked
from mmjax.train import Mesh, across
from mmjax.train.prepare import prepare
from tools import hlo
from tools.bench import workload

ROWS, LENGTH, WORDS, WIDTH, DEPTH = 16, 64, 1024, 64, 2
STREAM = 4 * ROWS * LENGTH * WIDTH  # bytes of all tokens, in float32
MADE = workload.language(ROWS, LENGTH, WORDS, width=WIDTH, depth=DEPTH, heads=8)
WAYS = {
    "data": Mesh(),
    "fsdp": Mesh(data=1, fsdp=8),
    "tensor": Mesh(data=2, tensor=4),
    "ring": Mesh(data=1, context=8),
    "heads": Mesh(data=1, context=8, exchange="heads"),
}


@pytest.fixture(autouse=True)
def many_pieces(monkeypatch):
    """Cut the words' loss where nobody would."""
    monkeypatch.setattr(chunked, "_ROWS", 128)
    monkeypatch.setattr(chunked, "_LOGITS", 1)


def held(shapes, places=None):
    """Bytes of each parameter, of all of it or of a device's own part."""
    own = trees.flatten(places) if places else {}
    return {
        path: 4 * jax.tree.reduce(lambda a, b: a * b, own[path].shard_shape(leaf.shape) if places else leaf.shape, 1)
        for path, leaf in trees.flatten(shapes).items()
    }


def least(way, prepared):
    """Bytes that each device has to send."""
    whole, own = held(prepared.shapes.params), held(prepared.shapes.params, prepared.shardings.params)
    gradients = 2 * 7 / 8 * sum(whole.values())
    if way == "fsdp":  # of the table, tokens' vectors are summed and their gradients gathered, as that is less
        table = whole["text/embed/embedding"]
        split = sum(size for path, size in whole.items() if own[path] < size) - table
        return 7 / 8 * (split + STREAM + 4 * ROWS * LENGTH) + gradients + 2 * 7 / 8 * (STREAM - table)
    if way == "tensor":  # a layer's sums: two forward, four back; one more at the words
        return (6 * DEPTH + 1) * 2 * 3 / 4 * STREAM / 2 + 2 * 1 / 2 * sum(own.values())
    if way == "ring":  # keys and values forth, and back with their gradients
        return gradients + DEPTH * 6 * 7 * STREAM / 8
    if way == "heads":  # queries, keys, values and what is mixed, forth and back
        return gradients + DEPTH * 8 * 7 / 8 * STREAM / 8
    return gradients


@pytest.mark.parametrize("way", WAYS)
def test_a_mesh_sends_the_least_that_it_needs(way):
    prepared = prepare(dataclasses.replace(MADE, mesh=WAYS[way]))
    with jax.set_mesh(prepared.mesh):
        step = prepared.step.lower(prepared.shapes, prepared.schema.example(ROWS)).compile()
    sent = hlo.traffic(step.as_text(), 8)
    total, wanted = sum(part["bytes"] for part in sent.values()), least(way, prepared)
    assert 0.98 * wanted <= total <= 1.02 * wanted, (total / wanted, sent)


@pytest.mark.parametrize("shape", [(8, 66), (520,), (6, 90)], ids=["places", "rows", "odd"])
def test_shares_of_the_rows_give_what_all_of_them_give(shape):
    keys = jax.random.split(jax.random.key(0), 4)
    kernel, features = jax.random.normal(keys[0], (4, 6)), jax.random.normal(keys[1], (*shape, 4))
    labels, mask = jax.random.randint(keys[2], shape, 0, 6), jax.random.uniform(keys[3], shape) < 0.7
    mesh = Mesh(data=2, fsdp=2, context=2).build()

    def total(shares, features, kernel):
        own = chunked.losses(Factored(features, kernel, shares), labels, most=4)
        weighted = jnp.linspace(0.5, 2.0, 6)
        return chunked.total(features, kernel, labels, mask, weighted, 0.1, 4, shares) + jnp.sum(jnp.sin(own))

    with jax.set_mesh(mesh):
        one, many = (
            jax.jit(jax.value_and_grad(lambda *given: total(shares, *given), argnums=(0, 1)))(features, kernel)  # noqa: B023
            for shares in (None, across.Shares(mesh))
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), one, many)
