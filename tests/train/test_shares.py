"""Parameters that devices share come together whole, in whatever steps, and what devices have of sums adds up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.core import UserError, trees
from mmjax.train import Mesh, activation, sharding
from mmjax.train.shares import Shares, steps
from tools import hlo

ARRAY = np.arange(16 * 24 * 2, dtype=np.float32).reshape(16, 24, 2)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (Mesh(data=1, fsdp=8), (8,)),
        (Mesh(data=1, fsdp=8, gather=2), (2, 2, 2)),
        (Mesh(data=1, fsdp=8, gather=4), (4, 2)),
        (Mesh(data=1, fsdp=8, gather=3), (2, 2, 2)),
        (Mesh(data=1, fsdp=8, gather=16), (8,)),
        (Mesh(data=2, fsdp=4, gather=2), (2, 2)),
    ],
    ids=str,
)
def test_a_shared_array_comes_together_in_steps(settings, found):
    settings = Mesh(data=settings.data, fsdp=settings.fsdp, gather=settings.gather, fsdp_size=1)
    mesh = settings.build()
    shares = Shares(mesh, settings, "layer/kernel")
    with jax.set_mesh(mesh):
        own = jax.device_put(ARRAY, NamedSharding(mesh, PartitionSpec(None, "fsdp")))
        whole = jax.jit(shares.whole)(own)
    assert steps(mesh, settings) == found
    assert whole.sharding.is_fully_replicated
    np.testing.assert_array_equal(whole, ARRAY)


def test_devices_that_no_steps_divide_meet_at_once():
    settings = Mesh(data=1, fsdp=7, gather=2)
    assert steps(settings.abstract(7), settings) == (7,)


def test_a_gather_of_fewer_than_one_is_an_error():
    with pytest.raises(UserError, match=r"mesh\.gather=-1"):
        Mesh(gather=-1).build()


@pytest.mark.parametrize("settings", [Mesh(data=2, fsdp=4, fsdp_size=1), Mesh(data=2, fsdp=2, context=2, fsdp_size=1)])
def test_what_shares_have_adds_up_where_it_lives(settings):
    mesh = settings.build()
    shares = Shares(mesh, settings, "layer/kernel").of((8, 4))
    parts = np.stack([ARRAY * (n + 1) for n in range(8)])
    with jax.set_mesh(mesh):
        total = jax.jit(shares.summed)(parts)
    np.testing.assert_array_equal(total, ARRAY * 36)
    assert total.sharding.spec == PartitionSpec(None, "fsdp")


class Layers(linen.Module):
    """A table and what is multiplied: the kinds of layers that read what devices share."""

    @linen.compact
    def __call__(self, ids):
        values = linen.Embed(32, 16, name="embed")(ids)
        heads = linen.DenseGeneral((4, 8), name="split")(values)
        values = linen.DenseGeneral(16, axis=(-2, -1), name="join")(heads) + linen.Dense(16, name="dense")(values)
        return linen.DenseGeneral((2, 8), name="pooled")(jnp.mean(values, axis=1))


MESHES = {
    "in steps": Mesh(data=1, fsdp=8, fsdp_size=1, gather=4),
    "with context": Mesh(data=1, fsdp=4, context=2, fsdp_size=1),
    "with tensor": Mesh(data=2, fsdp=2, tensor=2, fsdp_size=1, rules=((r"split/kernel", (None, "tensor", None)),)),
    "where rows are split": Mesh(data=2, fsdp=4, fsdp_size=1, rules=((r"dense/kernel$", ("data", None)),)),
    "over several axes": Mesh(data=2, fsdp=4, fsdp_size=1, rules=((r"dense/kernel$", (None, "data+fsdp")),)),
}


@pytest.mark.parametrize("rows", [8, 6], ids=["even", "odd"])
@pytest.mark.parametrize("name", MESHES)
def test_layers_read_what_devices_share_to_the_same_values_and_gradients(name, rows):
    settings, model = MESHES[name], Layers()
    mesh = settings.build()
    ids = jax.random.randint(jax.random.key(1), (rows, 4), 0, 32)
    params = model.init(jax.random.key(0), ids)

    def gradients(apply):
        return jax.jit(jax.value_and_grad(lambda params: jnp.sum(jnp.sin(apply(params, ids)))))

    plain = gradients(model.apply)(params)
    with jax.set_mesh(mesh):
        step = gradients(activation.Placed(model, mesh, settings).apply)
        shared = step(params)
        sent = hlo.traffic(step.lower(params).compile().as_text(), mesh.size)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), plain, shared)
    scattered = sent.get("reduce-scatter", {"bytes": 0})["bytes"]
    if name == "in steps" and rows == 8:
        kernels = sum(leaf.size for path, leaf in trees.flatten(params).items() if not path.endswith("bias"))
        assert scattered == 4 * kernels * 7 // 8
    assert (scattered > 0) == (rows == 8), "what comes out uneven is left to the compiler"


def test_what_came_together_is_forgotten_and_comes_together_again():
    """A processor's compiler gathers once for both passes, so the program that it is given is counted."""
    settings = Mesh(data=1, fsdp=8, fsdp_size=1)
    mesh, model, values = (
        settings.build(),
        linen.Sequential([linen.Dense(16), jnp.tanh, linen.Dense(16)]),
        ARRAY[:, :8, 0],
    )
    params = model.init(jax.random.key(0), values)
    with jax.set_mesh(mesh):
        apply = activation.Placed(model, mesh, settings).apply
        step = jax.jit(jax.grad(lambda params, values: jnp.sum(apply(params, values) ** 2), argnums=(0, 1)))
        text = step.lower(params, values).as_text()
    assert text.count("stablehlo.all_gather") == 4 and "optimization_barrier" in text


def test_a_scanned_layer_meets_its_kernel_without_the_axis_of_layers():
    path, shape = "trunk/blocks/mlp/up/kernel", (16, 64)
    house = Mesh(data=4, fsdp=2, fsdp_size=1)
    layers = Mesh(data=4, fsdp=2, fsdp_size=1, rules=((r"blocks/.*up/kernel$", ("fsdp", None, None)),))
    found = [sharding.inner(path, shape, settings.build(), settings) for settings in (house, layers)]
    assert found == [PartitionSpec("fsdp", "tensor"), PartitionSpec(None, None)]
