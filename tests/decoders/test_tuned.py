"""Heads on a decoder: GPT-1's fine-tuning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import decoders, heads, objectives
from mmjax.core import Batch, Signal, UserError
from mmjax.zoo import gpt1

GPT = gpt1.model(vocabulary=13, length=6, width=8, depth=2, heads=2, dropout=0.0)
ONE, OTHER = [10, 1, 2, 11, 3, 12], [10, 3, 11, 1, 2, 12]


def text(*rows):
    """Each row one reading, or several, segments of as many tokens."""
    values = np.array(rows, np.int32)
    b, ways, n = values.shape
    segments, positions = np.repeat(np.arange(1, ways + 1), n), np.tile(np.arange(n), ways)
    both = {"segments": segments, "positions": positions}
    both = {name: jnp.broadcast_to(jnp.asarray(each, jnp.int32), (b, ways * n)) for name, each in both.items()}
    mask = jnp.ones((b, ways * n), bool)
    return {"text": Signal(jnp.asarray(values.reshape(b, -1)), mask, **both if ways > 1 else {})}


def made(head, inputs):
    model = decoders.Tuned(GPT, {"label": head})
    params = model.init(jax.random.key(0), inputs, train=False)
    rng = np.random.default_rng(0)
    return model, jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(leaf.dtype), params)


def said(model, params, inputs):
    return np.asarray(jax.jit(lambda p, i: model.apply(p, i, train=False).heads["label"])(params, inputs))


def test_a_class_is_read_at_the_last_token_and_words_are_the_decoders_own():
    inputs = text([ONE])
    model, params = made(heads.Extract(3), inputs)
    out = model.apply(params, inputs, train=False)
    alone = GPT.apply({"params": params["params"]["decoder"]}, inputs, train=False)
    np.testing.assert_array_equal(out.heads["next"].features, alone.heads["next"].features)
    head = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"]["heads_label"]["project"])
    expected = np.asarray(alone.fused.values, np.float64)[:, -1] @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(out.heads["label"], expected, rtol=1e-5)
    padded = {"text": Signal(jnp.asarray([[*ONE[:4], 7, 7]]), jnp.arange(6)[None] < 4)}
    np.testing.assert_allclose(said(model, params, padded), said(model, params, text([ONE[:4]])), rtol=1e-5, atol=1e-6)


def test_how_like_two_texts_are_does_not_hang_on_their_order():
    model, params = made(heads.Extract(2, readings=2), text([ONE, OTHER]))
    there, back = (said(model, params, text(pair)) for pair in ([ONE, OTHER], [OTHER, ONE]))
    np.testing.assert_allclose(there, back, rtol=1e-5)
    single, _ = made(heads.Extract(2), text([ONE]))
    bias = np.asarray(params["params"]["heads_label"]["project"]["bias"])
    parts = [said(single, params, text([each])) - bias for each in (ONE, OTHER)]
    np.testing.assert_allclose(there, parts[0] + parts[1] + bias, rtol=1e-4, atol=1e-5)


def test_a_choice_scores_each_reading_by_itself_and_never_takes_one_that_is_not_there():
    model, params = made(heads.Choose(3), text([ONE, OTHER, ONE]))
    scores = said(model, params, text([ONE, OTHER, ONE]))[0]
    assert scores[0] == pytest.approx(scores[2], rel=1e-5) and abs(scores[0] - scores[1]) > 1e-3
    turned = said(model, params, text([OTHER, ONE, ONE]))[0]
    np.testing.assert_allclose(turned[:2], scores[1::-1], rtol=1e-5)
    signal = text([ONE, OTHER, ONE])["text"]
    gone = signal.replace(mask=signal.segments != 2, segments=jnp.where(signal.segments == 2, 0, signal.segments))
    left = said(model, params, {"text": gone})
    np.testing.assert_allclose(left[0, ::2], scores[::2], rtol=1e-5)
    assert np.asarray(jax.nn.softmax(left))[0, 1] == 0 and np.isfinite(left).all()


def test_the_loss_is_the_heads_and_half_the_words():
    inputs = text([ONE], [OTHER])
    model, params = made(heads.Extract(2), inputs)
    follows = jnp.roll(inputs["text"].values, -1, axis=1), jnp.arange(6)[None] < jnp.asarray([[5], [5]])
    labels = Signal(jnp.asarray([1, 0]), jnp.ones(2, bool))
    batch = Batch(inputs, {"label": labels, "next": Signal(*follows)})
    parts = objectives.CrossEntropy("label"), objectives.CrossEntropy("next", weight=0.5)
    out = model.apply(params, inputs, train=False)
    loss = sum(part.weight * part(out, batch).value() for part in parts)
    logits = np.asarray(out.heads["next"].features, np.float64) @ np.asarray(out.heads["next"].kernel, np.float64)
    assert logits.shape[-1] == GPT.vocabulary  # rows of positions are no words
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    words = np.mean([logs[i, t, follows[0][i, t]] for i in range(2) for t in range(5)])
    scores = np.asarray(out.heads["label"], np.float64)
    own = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    assert float(loss) == pytest.approx(-(own[0, 1] + own[1, 0]) / 2 - 0.5 * words, rel=1e-5)


def test_released_weights_grow_by_the_new_words():
    given = {"tokens_embed.weight": np.ones((10, 8), np.float32), "positions_embed.weight": np.zeros((6, 8))}
    more = gpt1.grown(given, 3)
    assert more["tokens_embed.weight"].shape == (13, 8) and more["tokens_embed.weight"].dtype == np.float32
    np.testing.assert_array_equal(more["tokens_embed.weight"][:10], given["tokens_embed.weight"])
    assert 0.01 < np.std(more["tokens_embed.weight"][10:]) < 0.03


def test_the_decoders_own_head_cannot_be_another():
    model = decoders.Tuned(GPT, {"next": heads.Extract(2)})
    with pytest.raises(UserError, match="head 'next' is the decoder's own"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), text([ONE]), train=False))
