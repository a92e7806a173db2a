"""A number at every place of a text, beside what a decoder says anyway."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import decoders
from mmjax.core import Signal

GPT = decoders.GPT(11, length=6, width=8, depth=1, heads=2)
MASK = jnp.asarray([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
TEXT = {"text": Signal(jnp.asarray([[1, 2, 3, 4], [5, 6, 7, 8]]), MASK)}


def test_values_stand_beside_words():
    model = decoders.Valued(GPT)
    made = model.init(jax.random.key(0), TEXT, train=False)
    begun = model.apply(made, TEXT, train=False)
    assert not np.any(begun.heads["value"])
    plain = GPT.apply({"params": made["params"]["decoder"]}, TEXT, train=False)
    np.testing.assert_array_equal(begun.heads["next"].features, plain.heads["next"].features)
    assert (model.stream, model.head, model.vocabulary, model.length, model.encoders) == ("text", "next", 11, 6, {})

    def value(params):
        return jnp.sum(model.apply({"params": params}, TEXT, train=False).heads["value"])

    made["params"]["worth"]["kernel"] += jnp.arange(8.0)[:, None]
    moved = model.apply(made, TEXT, train=False).heads["value"]
    assert not np.any(moved[~MASK]) and np.all(moved[MASK] != 0)
    slopes = jax.grad(value)(made["params"])
    assert all(np.any(leaf) for leaf in jax.tree.leaves(slopes["worth"]))
    spoilt = {"text": TEXT["text"].replace(values=jnp.where(MASK, TEXT["text"].values, 99))}
    np.testing.assert_array_equal(model.apply(made, spoilt, train=False).heads["value"], moved)
