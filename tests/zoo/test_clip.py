"""CLIP: published sizes, agreement with transformers' own given the same weights, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import zoo
from mmjax.core import Signal, UserError
from mmjax.zoo import clip
from tools.golden import weight

SIZES = [
    (clip.base_32, 151_277_313),
    (clip.base_16, 149_620_737),
    (clip.large_14, 427_616_513),
    (clip.large_14_336, 427_944_193),
]
SIZE = {"patch": 4, "grid": 3, "width": 16, "depth": 2, "heads": 2, "space": 8, "vocabulary": 30, "length": 11}
SIZE |= {"text_width": 16, "text_depth": 2, "text_heads": 2}
TINY = clip.model(**SIZE)


@pytest.mark.parametrize(("make", "count"), SIZES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_sizes_are_the_published_ones(make, count):
    whole = make()
    scanned = {name: part.clone(scan=True) for name, part in whole.encoders.items()}
    shapes = zoo.weight.shapes(whole.clone(encoders=scanned), clip.inputs(whole))
    assert sum(np.prod(shape) for shape in shapes.values()) == count


def test_vectors_and_logits_are_transformers_own():
    arrays, tensors = weight.read("clip")
    params, told = clip.adopt(tensors, TINY)
    assert not (told.missing or told.unknown or told.misfits or told.extra) and told.reshaped
    picture = Signal(jnp.asarray(arrays["pictures"]), jnp.ones((3, 1), bool))
    text = Signal(jnp.asarray(arrays["ids"]), jnp.asarray(arrays["mask"]))
    out = jax.jit(lambda inputs: TINY.apply({"params": params}, inputs, train=False))({"image": picture, "text": text})
    assert weight.error(out.fused.values[:, 0], arrays["image"]) <= 1e-5
    assert weight.error(out.fused.values[:, 1], arrays["text"]) <= 1e-5
    scale = out.heads["scale"][0, 0]
    logits = scale * out.fused.values[:, 1] @ out.fused.values[:, 0].T
    assert weight.error(logits, arrays["logits"]) <= 1e-5


def test_weights_go_back_as_they_came():
    _, tensors = weight.read("clip")
    given = {**tensors, "text_model.embeddings.position_ids": np.arange(11)[None]}
    params, told = clip.adopt(given, TINY)
    assert told.extra == ("text_model.embeddings.position_ids",)
    back = clip.release(params, TINY, kept={name: given[name] for name in told.extra})
    assert sorted(back) == sorted(given)
    for name, value in given.items():
        assert back[name].shape == np.shape(value), name
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_what_does_not_fit_is_told():
    _, tensors = weight.read("clip")
    with pytest.raises(UserError, match=r"do not fit: vision_model\.embeddings\.position_embedding\.weight \(10, 16\)"):
        clip.adopt(tensors, clip.model(**{**SIZE, "grid": 4}))
    del tensors["visual_projection.weight"]
    with pytest.raises(UserError, match=r"the weights lack visual_projection\.weight"):
        clip.adopt(tensors, TINY)
