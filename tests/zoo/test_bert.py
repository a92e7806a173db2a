"""BERT: published sizes, agreement with transformers' own given the same weights, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import heads, objectives, zoo
from mmjax.core import Batch, Signal, UserError
from mmjax.zoo import bert
from tools.golden import weight

SIZES = [(bert.base, 108_891_648), (bert.large, 334_092_288)]
TINY = bert.base(vocabulary=30, length=12, width=16, depth=2, heads=2, mlp=2.0)


@pytest.mark.parametrize(("make", "count"), SIZES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_sizes_are_the_published_ones(make, count):
    model = make(scan=True)
    assert sum(np.prod(shape) for shape in zoo.weight.shapes(model, bert.inputs(model)).values()) == count
    assert f"{count:,} parameters" in make.__doc__


def test_tokens_are_transformers_own():
    arrays, tensors = weight.read("bert")
    params, told = bert.adopt(tensors, TINY)
    assert not (told.missing or told.unknown or told.misfits or told.extra) and told.reshaped
    signal = Signal(jnp.asarray(arrays["ids"], jnp.int32), jnp.asarray(arrays["mask"]))
    out = jax.jit(lambda signal: TINY.apply({"params": params}, signal, train=False))(signal)
    real = arrays["mask"]
    assert weight.error(np.asarray(out.values)[real], arrays["tokens"][real]) <= 1e-5


def test_weights_go_back_as_they_came_under_old_names_and_new_ones():
    _, tensors = weight.read("bert")
    old = {f"bert.{name.replace('LayerNorm.weight', 'LayerNorm.gamma')}": value for name, value in tensors.items()}
    old["cls.predictions.bias"] = np.ones(30, np.float32)
    for given, extra in ((tensors, ()), (old, ("cls.predictions.bias",))):
        params, told = bert.adopt(given, TINY)
        assert told.extra == extra
        back = bert.release(params, like=given)
        assert list(back) == list(given)
        for name, value in given.items():
            np.testing.assert_array_equal(back[name], value, err_msg=name)
    assert sorted(bert.release(params)) == sorted(tensors)


def test_what_is_missing_is_told():
    _, tensors = weight.read("bert")
    del tensors["encoder.layer.1.output.LayerNorm.bias"]
    with pytest.raises(UserError, match=r"the weights lack encoder\.layer\.1\.output\.LayerNorm\.bias"):
        bert.adopt(tensors, TINY)


def test_masked_words_are_transformers_own():
    arrays, tensors = weight.read("bert_masked")
    model = bert.masked(TINY)
    params, told = bert.adopt(tensors, model)
    assert not (told.missing or told.unknown or told.misfits or told.extra)
    mask = jnp.asarray(arrays["mask"])
    texts = {bert.TEXT: Signal(jnp.asarray(arrays["ids"], jnp.int32), mask)}
    batch = Batch(texts, {bert.MASKED: texts[bert.TEXT]})

    def loss(params):
        outputs = model.apply({"params": params}, texts, train=False)
        return objectives.CrossEntropy(bert.MASKED)(outputs, batch).value(), outputs.heads[bert.MASKED]

    (found, said), slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    logits = np.asarray(said.features @ said.kernel)
    assert weight.error(logits[arrays["mask"]], arrays["logits"][arrays["mask"]]) <= 1e-5
    assert weight.error(found, arrays["loss"]) <= 1e-5
    assert weight.error(slopes["encoders_text"]["embed"]["embedding"], arrays["slope"]) <= 1e-5


def test_copies_of_the_words_go_back_as_the_words_are():
    _, tensors = weight.read("bert_masked")
    table = tensors["bert.embeddings.word_embeddings.weight"]
    given = tensors | {
        "cls.predictions.decoder.weight": table,
        "cls.predictions.decoder.bias": tensors["cls.predictions.bias"],
    }
    model = bert.masked(TINY)
    params, told = bert.adopt(given, model)
    assert told.extra == ("cls.predictions.decoder.bias", "cls.predictions.decoder.weight")
    back = bert.release(params, like=given)
    assert list(back) == list(given)
    for name, value in given.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    params["encoders_text"]["embed"]["embedding"] = table + 1
    np.testing.assert_array_equal(bert.release(params, like=given)["cls.predictions.decoder.weight"], table + 1)


def test_a_table_that_does_not_fit_is_told():
    text = {"text": Signal(jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool))}
    for words, told in (
        (heads.Words(31, stream="text", tied=True), "stream 'text' has 30 words, 16 wide; vocabulary=31 words"),
        (heads.Words(30, tied=True), "has no table of words; name the stream of an encoders.Text"),
    ):
        model = bert.masked(TINY).clone(heads={"masked": words})
        with pytest.raises(UserError, match=told):
            model.init(jax.random.key(0), text, train=False)
