"""SigLIP: published sizes, agreement with transformers' own given the same weights, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import zoo
from mmjax.core import Signal, UserError
from mmjax.zoo import siglip
from tools.golden import weight

SIZES = [(siglip.base_16, 203_155_970), (siglip.large_16, 652_150_786), (siglip.so400m_14, 877_960_498)]
SIZE = {"patch": 4, "grid": 3, "width": 16, "depth": 2, "heads": 2, "mlp": 2.0, "vocabulary": 30, "length": 7}
TINY = siglip.model(**SIZE)


@pytest.mark.parametrize(("make", "count"), SIZES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_sizes_are_the_published_ones(make, count):
    whole = make()
    image, text = whole.encoders["image"], whole.encoders["text"]
    scanned = {"image": image.clone(front=image.front.clone(scan=True)), "text": text.clone(scan=True)}
    shapes = zoo.weight.shapes(whole.clone(encoders=scanned), siglip.inputs(whole))
    assert sum(np.prod(shape) for shape in shapes.values()) == count
    assert f"{count:,} parameters" in make.__doc__


def test_vectors_and_logits_are_transformers_own():
    arrays, tensors = weight.read("siglip")
    params, told = siglip.adopt(tensors, TINY)
    assert not (told.missing or told.unknown or told.misfits or told.extra) and told.reshaped
    picture = Signal(jnp.asarray(arrays["pictures"]), jnp.ones((3, 1), bool))
    text = Signal(jnp.asarray(arrays["ids"]), jnp.ones((3, 7), bool))
    out = jax.jit(lambda inputs: TINY.apply({"params": params}, inputs, train=False))({"image": picture, "text": text})
    assert weight.error(out.fused.values[:, 0], arrays["image"]) <= 1e-5
    assert weight.error(out.fused.values[:, 1], arrays["text"]) <= 1e-5
    scale, added = out.heads["scale"][0]
    logits = scale * out.fused.values[:, 1] @ out.fused.values[:, 0].T + added
    assert weight.error(logits, arrays["logits"]) <= 1e-5


def test_weights_go_back_as_they_came():
    _, tensors = weight.read("siglip")
    params, _ = siglip.adopt(tensors, TINY)
    back = siglip.release(params, TINY)
    assert sorted(back) == sorted(tensors)
    for name, value in tensors.items():
        assert back[name].shape == value.shape, name
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_a_text_alone_keeps_its_place_and_what_is_missing_is_told():
    _, tensors = weight.read("siglip")
    params, _ = siglip.adopt(tensors, TINY)
    text = Signal(jnp.zeros((1, 7), jnp.int32), jnp.ones((1, 7), bool))
    out = jax.jit(lambda text: TINY.apply({"params": params}, {"text": text}, train=False))(text)
    assert out.fused.mask.tolist() == [[False, True]]
    del tensors["vision_model.head.probe"]
    with pytest.raises(UserError, match=r"the weights lack vision_model\.head\.probe"):
        siglip.adopt(tensors, TINY)
