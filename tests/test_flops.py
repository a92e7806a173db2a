"""FLOPs counted from the jaxpr equal what one counts by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from mmjax import flops


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_matrix_products():
    assert flops.count(jnp.matmul, array(5, 7), array(7, 3)) == 2 * 5 * 7 * 3
    assert (
        flops.count(lambda a, b: jnp.einsum("bqd,bkd->bqk", a, b), array(2, 5, 7), array(2, 3, 7)) == 2 * 2 * 5 * 3 * 7
    )
    assert flops.count(jnp.add, array(5), array(5)) == 0


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(groups):
    layer = nn.Conv(6, (3, 3), strides=2, feature_group_count=groups, padding="SAME", use_bias=False)
    image = array(2, 8, 8, 4)
    params = jax.eval_shape(layer.init, jax.random.key(0), image)
    assert flops.count(layer.apply, params, image) == 2 * (2 * 4 * 4 * 6) * (3 * 3 * 4 // groups)


def test_transposed_convolution_is_as_dear_as_the_one_that_it_undoes():
    layer = nn.ConvTranspose(4, (2, 2), strides=(2, 2), use_bias=False)
    image = array(1, 4, 4, 6)
    params = jax.eval_shape(layer.init, jax.random.key(0), image)
    assert flops.count(layer.apply, params, image) == 2 * (4 * 4 * 6) * (2 * 2 * 4)


def test_a_loop_counts_as_often_as_it_runs():
    def turns(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=9)[0]

    assert flops.count(turns, array(2, 4), array(4, 4)) == 9 * 2 * 2 * 4 * 4
    assert flops.count(jax.jit(jax.checkpoint(turns)), array(2, 4), array(4, 4)) == 9 * 2 * 2 * 4 * 4


def test_a_gradient_costs_two_more_forwards():
    def loss(w, x):
        return jnp.sum(jnp.tanh(x @ w["a"]) @ w["b"])

    w, x = {"a": array(4, 8), "b": array(8, 3)}, array(5, 4)
    first, second = 2 * 5 * 4 * 8, 2 * 5 * 8 * 3
    assert flops.count(loss, w, x) == first + second
    # The gradient with respect to x is never asked for, so the first layer is spared one product.
    assert flops.count(jax.value_and_grad(loss), w, x) == 2 * first + 3 * second


def test_the_longest_branch_counts():
    def branch(p, x):
        return jax.lax.cond(p, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert flops.count(branch, jax.ShapeDtypeStruct((), bool), array(3, 3)) == 2 * 2 * 27


def test_scopes_are_the_modules():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3, name="second")(nn.Dense(4, name="first")(x))

    x = array(2, 5)
    params = jax.eval_shape(Net().init, jax.random.key(0), x)
    counted = flops.by_scope(Net().apply, params, x)
    found = {name: sum(n for scope, n in counted.items() if name in scope) for name in ("first", "second")}
    assert found == {"first": 2 * 2 * 5 * 4, "second": 2 * 2 * 4 * 3}


def test_what_is_computed_again_is_of_no_use():
    def loss(w, x):
        return jnp.sum(jax.checkpoint(lambda w, x: jnp.tanh(jnp.tanh(x @ w) @ w))(w, x))

    gradient = jax.value_and_grad(loss)
    once, w, x = 2 * 5 * 4 * 4, array(4, 4), array(5, 4)
    assert flops.useful(gradient, w, x) == (2 + 1 + 2) * once
    assert flops.count(gradient, w, x) == (2 + 2 + 3) * once


def test_frozen_parts_are_only_run_forward():
    def loss(w, x):
        return jnp.sum(jnp.tanh(jnp.tanh(x @ jax.lax.stop_gradient(w["tower"])) @ w["head"]))

    w, x = {"tower": array(4, 8), "head": array(8, 3)}, array(5, 4)
    tower, head = 2 * 5 * 4 * 8, 2 * 5 * 8 * 3
    assert flops.useful(jax.grad(loss), w, x) == tower + 2 * head
    # Gradients that nobody asks for are not needed either.
    assert flops.useful(lambda w, x: jax.grad(lambda w: jnp.sum((x @ w["tower"]) @ w["head"]))(w)["head"], w, x) == (
        tower + head
    )


def test_causal_attention_counts_half():
    from mmjax import nn as layers

    values = array(2, 6, 8)
    counts = []
    for causal in (False, True):
        layer = layers.Attention(heads=2, causal=causal)
        params = jax.eval_shape(layer.init, jax.random.key(0), values)
        counts.append(flops.useful(jax.grad(lambda p, v, layer=layer: jnp.sum(layer.apply(p, v))), params, values))
    # Forward two products of queries with keys and with values, backward four.
    assert counts[0] - counts[1] == 6 * (2 * 2 * 6 * 6 * 8) // 2
