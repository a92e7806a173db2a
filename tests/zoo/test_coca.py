"""CoCa: who sees what, both losses against their formulas in float64, and pairs that only look like pairs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders, objectives, views, zoo
from mmjax.core import Batch, Factored, Signal, UserError, trees
from mmjax.train import Optim, make_step
from mmjax.train.state import make_init

ROWS, WORDS, VOCABULARY = 4, 5, 11
RNG = np.random.default_rng(0)
MODEL = zoo.coca.CoCa(
    encoders.Image(width=8, depth=0, patch=2, convolutions=0),
    VOCABULARY, length=6, width=8, depth=1, upper=1, heads=2, queries=3, space=6, match=True, stddev=0.3, mlp=2.0,
)  # fmt: skip
THERE = np.arange(WORDS)[None] < np.array([[5], [3], [4], [5]])
INPUTS = {
    "image": Signal(jnp.asarray(RNG.normal(size=(ROWS, 4, 4, 1)), jnp.float32), jnp.ones((ROWS, 1), bool)),
    "text": Signal(jnp.asarray(RNG.integers(0, VOCABULARY, (ROWS, WORDS)), jnp.int32), jnp.asarray(THERE)),
}
NEXT = Signal(jnp.asarray(RNG.integers(0, VOCABULARY, (ROWS, WORDS)), jnp.int32), jnp.asarray(THERE))
BATCH = Batch(INPUTS, {"next": NEXT})


@functools.cache
def params():
    begun = jax.jit(lambda key: MODEL.init(key, INPUTS, train=False))(jax.random.key(0))["params"]
    return jax.tree.map(lambda x: x + 0.1 * RNG.normal(size=x.shape).astype(x.dtype), begun)


@functools.cache
def compiled():
    return jax.jit(lambda params, inputs: MODEL.apply({"params": params}, inputs, train=False))


def said(inputs):
    return compiled()(params(), inputs)


def changed(name, at=...):
    values = INPUTS[name].values
    return {**INPUTS, name: INPUTS[name].replace(values=values.at[at].set((values[at] + 1) % VOCABULARY))}


def test_the_first_half_reads_words_and_the_second_sees():
    base, seen, read = said(INPUTS), said(changed("image")), said(changed("text", (0, 4)))
    np.testing.assert_array_equal(base.fused.values[:, 1], seen.fused.values[:, 1])  # of words alone
    np.testing.assert_array_equal(base.streams["text"].values, seen.streams["text"].values)
    assert np.abs(base.heads["next"].features - seen.heads["next"].features).max(axis=(1, 2)).min() > 1e-3
    np.testing.assert_array_equal(base.fused.values[:, 0], read.fused.values[:, 0])  # of pictures alone
    assert np.abs(base.fused.values[0, 1] - read.fused.values[0, 1]).max() > 1e-4  # the summary has read the last word
    np.testing.assert_allclose(base.heads["next"].features[0, :4], read.heads["next"].features[0, :4], atol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(base.fused.values, axis=-1), 1, rtol=1e-5)


def test_padding_and_absence_change_nothing():
    base = said(INPUTS)
    text = INPUTS["text"].replace(values=jnp.where(THERE, INPUTS["text"].values, 7))
    jax.tree.map(np.testing.assert_array_equal, base, said({**INPUTS, "text": text}))
    image = INPUTS["image"].replace(mask=jnp.asarray([[True], [False], [True], [True]]))
    out = said({**INPUTS, "image": image})
    assert not out.fused.mask[1, 0] and not np.any(out.fused.values[1, 0])
    np.testing.assert_allclose(out.heads["next"].features[0], base.heads["next"].features[0], atol=1e-6)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(out))
    with pytest.raises(UserError, match="reads 'text'"):
        MODEL.init(jax.random.key(0), {"image": INPUTS["image"]}, train=False)


def contrast(scale, vectors):
    logits = scale * vectors[:, 0] @ vectors[:, 1].T
    return np.mean([np.log(np.exp(table).sum(1)) - np.diag(table) for table in (logits, logits.T)])


def caption(features, kernel):
    words = features @ kernel
    own = np.take_along_axis(words, np.asarray(NEXT.values)[..., None], axis=2)[..., 0]
    return (np.log(np.exp(words).sum(2)) - own)[THERE].mean()


def test_both_losses_are_the_papers_in_value_and_gradient():
    out, goals = said(INPUTS), (objectives.Contrastive(), objectives.CrossEntropy("next"))
    words = out.heads["next"]
    parts = [np.asarray(x, np.float64) for x in (out.fused.values, words.features, words.kernel)]
    scale = np.float64(out.heads["scale"][0, 0])

    def wanted(vectors, features, kernel):
        return contrast(scale, vectors) + caption(features, kernel)

    def total(vectors, features, kernel):
        heads = {"next": Factored(features, kernel), "scale": jnp.asarray(out.heads["scale"], vectors.dtype)}
        whole = out.replace(fused=out.fused.replace(values=vectors), heads=heads)
        return sum(goal(whole, BATCH).value() for goal in goals)

    with jax.enable_x64(True):
        found, slopes = jax.value_and_grad(total, argnums=(0, 1, 2))(*map(jnp.asarray, parts))
        slopes = [np.asarray(slope) for slope in slopes]
    np.testing.assert_allclose(found, wanted(*parts), rtol=1e-6)
    for _ in range(3):
        way = [1e-5 * RNG.normal(size=part.shape) for part in parts]
        ahead, behind = wanted(*map(np.add, parts, way)), wanted(*map(np.subtract, parts, way))
        along = sum(np.sum(slope * by) for slope, by in zip(slopes, way, strict=True))
        np.testing.assert_allclose(along, (ahead - behind) / 2, rtol=1e-6)


def test_a_step_with_all_three_losses_moves_every_parameter():
    optimizer = Optim(lr=1e-2).build(2)
    wanted = {
        "next": objectives.CrossEntropy("next", weight=2.0),
        "pairs": objectives.Contrastive(where="match"),
        "match": objectives.Matching(),
    }
    view = views.Mismatched()
    state = make_init(MODEL, optimizer, BATCH)(jax.random.key(0)).replace(params=params())
    now, metrics = jax.jit(make_step(MODEL, wanted, optimizer, views=view))(state, BATCH)
    old, new = trees.flatten(state.params), trees.flatten(now.params)
    assert not [path for path in old if np.array_equal(old[path], new[path])]
    # Rows that the view made are in neither of the other losses.
    out = said(INPUTS)
    np.testing.assert_allclose(metrics["loss/pairs"], objectives.Contrastive()(out, BATCH).value(), rtol=1e-4)
    np.testing.assert_allclose(metrics["loss/next"], objectives.CrossEntropy("next")(out, BATCH).value(), rtol=1e-4)


def test_parameters_number_what_the_paper_says():
    model = zoo.coca.base()
    inputs = {
        "image": Signal(jnp.zeros((1, 288, 288, 3)), jnp.ones((1, 1), bool)),
        "text": Signal(jnp.zeros((1, 8), jnp.int32), jnp.ones((1, 8), bool)),
    }
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs, train=False))["params"]
    text = ("embed", "position", "word_kernel", "lower_trunk", "upper_trunk")
    assert trees.count(shapes["encoder"]) == pytest.approx(86e6, rel=0.01)
    assert sum(trees.count(shapes[name]) for name in text) == pytest.approx(297e6, rel=0.01)
