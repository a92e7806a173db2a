"""Recurrent networks, against torch's own and for what masks and segments promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import nn
from mmjax.core import Tokens, UserError, trees
from tools.golden import weight

# torch's names to ours; its last part tells the direction.
RULES = [
    (r"_l(\d)$", r"_l\1_forward"),
    (r"_l(\d)_reverse$", r"_l\1_backward"),
    (r"^weight_ih_l(\d)_(\w+)", r"params/layer_\1_\2/input/kernel"),
    (r"^bias_ih_l(\d)_(\w+)", r"params/layer_\1_\2/input/bias"),
    (r"^weight_hh_l(\d)_(\w+)", r"params/layer_\1_\2/hidden_kernel"),
    (r"^bias_hh_l(\d)_(\w+)", r"params/layer_\1_\2/hidden_bias"),
]
VALUES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 3)), jnp.float32)
cells = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])


def applied(module, tokens):
    variables = jax.jit(lambda: module.init(jax.random.key(0), tokens, train=False))()
    return jax.jit(lambda tokens: module.apply(variables, tokens, train=False))


@cells
def test_agrees_with_torch(cell):
    arrays, weights = weight.read(cell)
    model = nn.Recurrent(6, cell, depth=2, bidirectional=True)
    mask = jnp.arange(7)[None] < arrays["lengths"][:, None]
    tokens = Tokens(jnp.where(mask[..., None], arrays["inputs"], jnp.nan), mask)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, train=False))
    variables = weight.renamed(weights, RULES, {path: leaf.shape for path, leaf in trees.flatten(shapes).items()})
    out = jax.jit(lambda variables: model.apply(variables, tokens, train=False))(variables)
    assert weight.error(out.values, arrays["outputs"]) <= 1e-5
    assert not np.any(np.asarray(out.values)[~np.asarray(mask)])


@cells
def test_masked_steps_are_as_good_as_taken_out(cell):
    mask = jnp.asarray([[True, False, True, True, False, True], [False, True, True, False, False, False]])
    run = applied(nn.Recurrent(4, cell, bidirectional=True), Tokens(VALUES, mask))
    whole = run(Tokens(jnp.where(mask[..., None], VALUES, jnp.nan), mask)).values
    for row, real in enumerate(np.asarray(mask)):
        count = real.sum()
        alone = run(Tokens(VALUES[row : row + 1, real], jnp.ones((1, count), bool))).values[0]
        np.testing.assert_allclose(whole[row][real], alone, rtol=1e-5, atol=1e-6)


def test_a_segment_goes_on_after_a_hole_and_knows_nothing_of_the_one_before():
    segments = jnp.asarray([[1, 1, 0, 1, 2, 2]], jnp.int32)
    tokens = Tokens(VALUES[:1], segments > 0, segments)
    run = applied(nn.Recurrent(4, "lstm", depth=2, bidirectional=True), tokens)
    whole = run(tokens).values[0]
    for segment, places in ((1, [0, 1, 3]), (2, [4, 5])):
        own = np.asarray(places)
        alone = run(Tokens(VALUES[:1, own], jnp.ones((1, len(own)), bool))).values[0]
        np.testing.assert_allclose(whole[own], alone, rtol=1e-5, atol=1e-6, err_msg=str(segment))


def test_an_lstm_begins_by_remembering():
    tokens = Tokens(VALUES, jnp.ones((2, 6), bool))
    bias = jax.jit(lambda: nn.Recurrent(4).init(jax.random.key(0), tokens, train=False))()["params"]
    np.testing.assert_array_equal(bias["layer_0_forward"]["input"]["bias"], [0] * 4 + [1] * 4 + [0] * 8)
    kernel = bias["layer_0_forward"]["hidden_kernel"][:, 4:8]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-5)


def test_dropout_acts_between_layers_alone():
    tokens = Tokens(VALUES, jnp.ones((2, 6), bool))

    def differs(depth):
        model = nn.Recurrent(4, "gru", depth=depth, dropout=0.5)
        variables = jax.jit(lambda: model.init(jax.random.key(0), tokens, train=False))()
        run = jax.jit(lambda key: model.apply(variables, tokens, train=True, rngs={"dropout": key}).values)
        return not np.array_equal(run(jax.random.key(1)), run(jax.random.key(2)))

    assert differs(2) and not differs(1)


def test_another_cell_is_refused():
    with pytest.raises(UserError, match=r"cell='gur' is not known; choose one of rnn, lstm, gru"):
        nn.Recurrent(4, "gur").init(jax.random.key(0), Tokens(VALUES, jnp.ones((2, 6), bool)), train=False)
