"""BERT: published sizes, agreement with transformers' own given the same weights, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import zoo
from mmjax.core import Signal, UserError
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
