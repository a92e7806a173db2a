"""Dense layers multiply matrices where one processor does it all, and as they are elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from mmjax.core import products
from mmjax.train import Mesh, Quantized, dense, quantized, sharding
from mmjax.train.activation import Placed

DIMS = {
    "one axis": ((2, 3, 5), (5, 7), (((2,), (0,)), ((), ()))),
    "two axes": ((2, 3, 4, 5), (4, 5, 7), (((2, 3), (0, 1)), ((), ()))),
    "heads": ((2, 3, 5), (5, 4, 6), (((2,), (0,)), ((), ()))),
    "counted from behind": ((2, 3, 5), (5, 7), (((-1,), (0,)), ((), ()))),
    "no rows": ((0, 3, 5), (5, 7), (((2,), (0,)), ((), ()))),
    "a row alone": ((5,), (5, 7), (((0,), (0,)), ((), ()))),
    "the first axis": ((5, 2, 3), (5, 7), (((0,), (0,)), ((), ()))),
    "the kernel's last axis": ((2, 3, 5), (7, 5), (((2,), (1,)), ((), ()))),
    "axes that both have": ((4, 2, 5), (4, 5, 7), (((2,), (1,)), ((0,), (0,)))),
}


class Layers(linen.Module):
    """The two kinds of dense layers that linen has."""

    @linen.compact
    def __call__(self, values: jax.Array) -> jax.Array:
        flat = linen.DenseGeneral((2, 4), name="query", dot_general_cls=lambda: products.flat)
        heads = flat(linen.Dense(12, name="up")(values))
        return linen.DenseGeneral(6, axis=(-2, -1), name="out")(heads)


@pytest.mark.parametrize("case", DIMS)
def test_a_product_of_matrices_is_the_product(case):
    left, right, dims = DIMS[case]
    inputs, kernel = (jax.random.normal(jax.random.key(n), shape) for n, shape in enumerate((left, right)))
    counted = (tuple(axis % len(left) for axis in dims[0][0]), dims[0][1]), dims[1]
    found = dense.matrices(inputs, kernel, dims)
    expected = jax.lax.dot_general(inputs, kernel, counted)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def sums(mesh: jax.sharding.Mesh, settings: Mesh) -> list[int]:
    """Over how many axes each product of a gradient is summed up."""
    model, values = Layers(), jnp.ones((8, 3, 5))
    placed, variables = Placed(model, mesh, settings), model.init(jax.random.key(0), values)
    with jax.set_mesh(mesh):
        jaxpr = jax.make_jaxpr(jax.grad(lambda v: jnp.sum(jnp.square(placed.apply(v, values)))))(variables)
    return [len(e.params["dimension_numbers"][0][0]) for e in jaxpr.eqns if e.primitive.name == "dot_general"]


def test_one_processor_sums_kernels_gradients_over_one_axis():
    found = sums(sharding.single(), Mesh())
    assert len(found) == 9
    assert set(found) == {1}


def test_axes_that_devices_share_are_not_joined():
    settings = Mesh(data=8)
    assert sums(settings.build(), settings).count(2) >= 3


def test_gradients_are_those_of_the_model_itself():
    model, values = Layers(), jax.random.normal(jax.random.key(1), (8, 3, 5))
    variables = model.init(jax.random.key(0), values)
    placed = Placed(model, sharding.single(), Mesh())
    found = jax.grad(lambda v: jnp.sum(jnp.square(placed.apply(v, values))))(variables)
    expected = jax.grad(lambda v: jnp.sum(jnp.asarray(model.apply(v, values)) ** 2))(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)


def test_what_is_rounded_stays_rounded():
    model, values = Layers(), jnp.ones((8, 3, 5))
    placed, variables = Placed(model, sharding.single(), Mesh()), model.init(jax.random.key(0), values)
    rounded = quantized.over(placed, Quantized(forward="int8"))
    kinds = str(jax.make_jaxpr(rounded.apply)(variables, values))
    assert kinds.count("preferred_element_type=int32") == 3


def test_what_multiplies_in_its_own_way_goes_on_so():
    def own(*args, **how):
        return jax.lax.dot_general(*args, **how)

    assert dense.product(linen.Dense(3, dot_general=own)) is None
    assert dense.product(linen.Dense(3, dot_general_cls=lambda: own)) is None
    assert dense.product(linen.Conv(3, (3,))) is None
    assert dense.product(linen.Dense(3)) is jax.lax.dot_general


def kept(multiply) -> int:
    """How many numbers a scan over layers of three products keeps for its gradient."""
    kernels, dims = jax.random.normal(jax.random.key(0), (4, 3, 5, 5)), (((2,), (0,)), ((), ()))

    def layer(values, kernels):
        return jnp.tanh(sum(multiply(values, kernel, dims) for kernel in kernels)), None

    pull = jax.vjp(lambda v, k: jax.lax.scan(layer, v, k)[0], jnp.ones((2, 7, 5)), kernels)[1]
    return sum(leaf.size for leaf in jax.tree.leaves(pull))


def test_what_goes_into_several_products_is_kept_once():
    assert kept(dense.matrices) <= kept(jax.lax.dot_general)
