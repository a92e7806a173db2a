"""The GPT series: published sizes, and agreement with transformers' own, given the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import zoo
from mmjax.core import Signal, UserError
from mmjax.zoo import gpt1, gpt2, gpt3, modern
from tools.golden import weight

SIZES = [
    (gpt1.model, 116_534_784),
    (gpt2.small, 124_439_808),
    (gpt2.medium, 354_823_168),
    (gpt2.large, 774_030_080),
    (gpt2.xl, 1_557_611_200),
    (modern.llama2_7b, 6_738_415_616),
    (modern.llama2_70b, 68_976_648_192),
]
# In millions, as the paper rounds them; its own table makes XL larger than its name.
ROUNDED = [
    (gpt3.small, 125),
    (gpt3.medium, 356),
    (gpt3.large, 760),
    (gpt3.xl, 1517),
    (gpt3.billions_3, 2652),
    (gpt3.billions_7, 6658),
    (gpt3.billions_13, 12_936),
    (gpt3.davinci, 174_604),
]
TINY = {"vocabulary": 40, "length": 32, "width": 16, "depth": 2, "heads": 2}
LLAMA = {"vocabulary": 40, "length": 32, "width": 16, "depth": 2, "heads": 4, "kv_heads": 2, "mlp": 1.5}
GOLDEN = {
    "gpt1": (gpt1, gpt1.model(**TINY)),
    "gpt2": (gpt2, gpt2.small(**TINY)),
    "llama": (modern, modern.llama2_7b(**LLAMA)),
}
golden = pytest.mark.parametrize("name", GOLDEN)


@pytest.mark.parametrize(("make", "count"), SIZES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_sizes_are_the_published_ones(make, count):
    assert sum(np.prod(shape) for shape in zoo.weight.shapes(make()).values()) == count


@pytest.mark.parametrize(("make", "millions"), ROUNDED, ids=lambda value: getattr(value, "__name__", str(value)))
def test_gpt3s_sizes_are_the_papers(make, millions):
    model = make(scan=True, bands=(256,))
    assert round(sum(np.prod(shape) for shape in zoo.weight.shapes(model).values()) / 1e6) == millions
    assert make().bands == (0, 256) and make().head_size * make().heads >= make().width * 0.99


@golden
def test_logits_and_greedy_words_are_transformers_own(name):
    family, model = GOLDEN[name]
    arrays, tensors = weight.read(name)
    params, told = family.adopt(tensors, model)
    assert not told.missing and not told.extra and told.reshaped

    @jax.jit
    def logits(ids):
        inputs = {"text": Signal(ids, jnp.ones(ids.shape, bool))}
        factors = model.apply({"params": params}, inputs, train=False).heads["next"]
        return factors.features @ factors.kernel

    assert weight.error(logits(arrays["ids"]), arrays["logits"]) <= 1e-5
    row = np.zeros((len(arrays["ids"]), 25), np.int32)
    row[:, :5] = arrays["ids"][:, :5]
    for at in range(5, 25):
        row[:, at] = np.argmax(logits(row)[:, at - 1], axis=-1)
    assert np.array_equal(row[:, 5:], arrays["said"])


@golden
def test_weights_go_back_as_they_came(name):
    family, model = GOLDEN[name]
    _, tensors = weight.read(name)
    params, _ = family.adopt(tensors, model)
    back = family.release(params, model) if name == "gpt1" else family.release(params)
    assert sorted(back) == sorted(key.removeprefix("transformer.") for key in tensors)
    for key, value in tensors.items():
        np.testing.assert_array_equal(back[key.removeprefix("transformer.")], value)


def test_every_tensor_is_accounted_for():
    _, tensors = weight.read("gpt2")
    model = GOLDEN["gpt2"][1]
    bare = gpt2.bare(tensors)
    told = zoo.weight.account({**bare, "h.0.attn.bias": np.ones((1, 1, 32, 32))}, model, gpt2.origin)
    assert told.extra == ("h.0.attn.bias",) and not told.missing and not told.misfits
    assert "h.1.attn.c_attn.weight (16, 48) -> trunk/block_1/attention/key/kernel (16, 2, 8)" in told.reshaped
    del bare["ln_f.bias"]
    with pytest.raises(UserError, match=r"the weights lack ln_f\.bias"):
        gpt2.adopt(bare, model)
    with pytest.raises(UserError, match=r"do not fit: wte\.weight \(40, 16\) -> embed/embedding \(41, 16\)"):
        gpt2.adopt(tensors, model.clone(vocabulary=41))
