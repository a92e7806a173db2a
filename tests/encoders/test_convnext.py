"""ConvNeXt, against transformers' ConvNextModel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders
from mmjax.core import Signal, UserError, trees
from tools.golden import weight

# transformers' names, with dots turned to slashes, to ours.
RULES = [
    (r"^layernorm/.*", ""),  # of the pooled picture, which is a head's affair
    (r"^embeddings/patch_embeddings", "embed_0"),
    (r"^embeddings/layernorm", "norm_0"),
    (r"^encoder/stages/(\d)/downsampling_layer/0", r"norm_\1"),
    (r"^encoder/stages/(\d)/downsampling_layer/1", r"embed_\1"),
    (r"^encoder/stages/(\d+)/layers/(\d+)", r"stage_\1_block_\2"),
    (r"layer_scale_parameter$", "scale"),
    (r"dwconv", "near"),
    (r"layernorm", "norm"),
    (r"pwconv1", "mlp/up"),
    (r"pwconv2", "mlp/down"),
    (r"(norm_?\d*)/weight$", r"\1/scale"),
    (r"weight$", "kernel"),
    (r"^(.)", r"params/\1"),
]


def variables_of(model, signal, weights):
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), signal, train=False))
    return weight.renamed(weights, RULES, {path: leaf.shape for path, leaf in trees.flatten(shapes).items()})


def test_agrees_with_transformers():
    arrays, weights = weight.read("convnext")
    model = encoders.ConvNeXt(channels=(8, 16, 24), stages=(1, 2, 1))
    signal = Signal(jnp.asarray(arrays["pictures"]), jnp.ones((2, 1), bool))
    variables = variables_of(model, signal, weights)
    tokens = jax.jit(lambda variables: model.apply(variables, signal, train=False))(variables)
    assert weight.error(tokens.values, arrays["grid"].reshape(tokens.values.shape)) <= 1e-5


def test_paths_are_dropped_in_training_and_never_in_the_first_block():
    model = encoders.ConvNeXt(channels=(4,), stages=(2,), patch=2, scale=1.0, drop_path=0.9)
    signal = Signal(
        jnp.asarray(np.random.default_rng(0).normal(size=(8, 4, 4, 1)), jnp.float32), jnp.ones((8, 1), bool)
    )
    variables = jax.jit(lambda: model.init(jax.random.key(0), signal, train=False))()
    run = jax.jit(lambda: model.apply(variables, signal, train=True, rngs={"dropout": jax.random.key(1)}).values)
    first = model.clone(stages=(1,), drop_path=0.0)
    unchanged = np.asarray(jax.jit(lambda: first.apply(variables, signal, train=False).values)())
    dropped = np.all(np.isclose(run(), unchanged), axis=(1, 2))
    assert 0 < dropped.sum() < 8


def test_channels_and_stages_go_together():
    model = encoders.ConvNeXt(channels=(4, 8), stages=(1,))
    with pytest.raises(UserError, match="as many"):
        model.init(jax.random.key(0), Signal(jnp.zeros((1, 4, 4, 1)), jnp.ones((1, 1), bool)), train=False)


def test_the_default_is_as_large_as_everyones():
    picture = Signal(jnp.zeros((1, 32, 32, 3)), jnp.ones((1, 1), bool))
    shapes = jax.eval_shape(lambda: encoders.ConvNeXt().init(jax.random.key(0), picture, train=False))
    assert trees.count(shapes) == 27_818_592
