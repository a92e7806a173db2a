"""Residual networks, against transformers' ResNetModel and for what masks over rows promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders, nn
from mmjax.core import Signal, trees
from tools.golden import weight

# transformers' names, with dots turned to slashes, to ours.
RULES = [
    (r".*num_batches_tracked$", ""),
    (r"^embedder/embedder/convolution/weight", "convolution/kernel"),
    (r"^embedder/embedder/normalization", "norm"),
    (r"^encoder/stages/(\d+)/layers/(\d+)", r"stage_\1_block_\2"),
    (r"layer/(\d)/convolution/weight", r"convolution_\1/kernel"),
    (r"layer/(\d)/normalization", r"norm_\1"),
    (r"shortcut/convolution/weight", "shortcut/kernel"),
    (r"shortcut/normalization", "shortcut_norm"),
    (r"norm(.*)/weight$", r"norm\1/scale"),
    (r"^(.+)/running_(mean|var)$", r"batch_stats/\1/\2"),
    (r"^(norm|stage|convolution)", r"params/\1"),
]
GRID = Signal(jnp.asarray(np.random.default_rng(0).uniform(size=(8, 4, 4, 4)), jnp.float32), jnp.ones((8, 4), bool))


@pytest.mark.parametrize(("name", "model"), [
    ("resnet", encoders.ResNet(channels=8, stages=(2, 2))),
    ("resnet_basic", encoders.ResNet(channels=8, stages=(1, 2), bottleneck=False)),
])  # fmt: skip
def test_agrees_with_transformers(name, model):
    arrays, weights = weight.read(name)
    signal = Signal(jnp.asarray(arrays["pictures"]), jnp.ones((2, 1), bool))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), signal, train=False))
    variables = weight.renamed(weights, RULES, {path: leaf.shape for path, leaf in trees.flatten(shapes).items()})
    tokens = jax.jit(lambda variables: model.apply(variables, signal, train=False))(variables)
    assert weight.error(tokens.values, arrays["grid"].reshape(tokens.values.shape)) <= 1e-5


@pytest.mark.parametrize("encoder", [
    encoders.ResNet(4, (1, 1), groups=2),
    encoders.ResNet(4, (1, 1), bottleneck=False, small=True),
    encoders.LeNet((2, 3, 4), width=8),
    encoders.ConvNeXt((4, 8), (1, 1), patch=2),
    encoders.Series(4, (1, 1)),
    encoders.Series(4, (1, 1), stem=8, stride=3, bottleneck=True),
], ids=lambda encoder: type(encoder).__name__)  # fmt: skip
@pytest.mark.parametrize("train", [False, True])
def test_masked_rows_are_as_good_as_cut_off(encoder, train):
    values = jnp.asarray(np.random.default_rng(0).normal(size=(2, 21, 6, 1)), jnp.float32)
    mask = jnp.broadcast_to(jnp.arange(21) < 11, (2, 21))
    signal = Signal(jnp.where(mask[..., None, None], values, jnp.nan), mask)
    cut = Signal(values[:, :11], mask[:, :11])
    variables = jax.jit(lambda: encoder.init(jax.random.key(0), signal, train=False))()
    run = jax.jit(lambda signal: encoder.apply(variables, signal, train=train, mutable=["batch_stats"]))
    (whole, seen), (alone, expected) = run(signal), run(cut)
    for tokens, other, real in zip(whole.values, alone.values, whole.mask, strict=True):
        np.testing.assert_allclose(tokens[real], other, rtol=1e-4, atol=1e-5)
    assert np.all(alone.mask)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), seen, expected)


@pytest.mark.parametrize(("fields", "size"), [
    ({}, 23_508_032),
    ({"stages": (3, 4, 23, 3)}, 42_500_160),
    ({"stages": (2, 2, 2, 2), "bottleneck": False}, 11_176_512),
    ({"stages": (3, 4, 6, 3), "bottleneck": False}, 21_284_672),
], ids=["50", "101", "18", "34"])  # fmt: skip
def test_the_known_depths_are_as_large_as_everyones(fields, size):
    picture = Signal(jnp.zeros((1, 32, 32, 3)), jnp.ones((1, 1), bool))
    model = encoders.ResNet(**fields)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), picture, train=False))
    assert trees.count(shapes["params"]) == size
    assert model.tokens(224, 224) == 49


def test_a_fresh_block_passes_on_what_it_is_given():
    block = nn.Residual(4, groups=1)
    variables = jax.jit(lambda: block.init(jax.random.key(0), GRID, train=False))()
    np.testing.assert_array_equal(block.apply(variables, GRID, train=False).values, GRID.values)


def test_paths_are_dropped_row_by_row():
    block = nn.Residual(4, groups=1, drop_path=0.5)
    variables = jax.jit(lambda: block.init(jax.random.key(0), GRID, train=False))()
    variables["params"]["norm_1"]["scale"] = jnp.ones(4)
    run = jax.jit(lambda: block.apply(variables, GRID, train=True, rngs={"dropout": jax.random.key(0)}).values)
    same = np.all(np.asarray(run()) == GRID.values, axis=(1, 2, 3))
    assert 0 < same.sum() < 8
