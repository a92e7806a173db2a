"""Activations live where the rules say: no constraint is lost on the way to the compiled program, nothing changes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import encoders, nn
from mmjax.core import LOSSES, Signal, Tokens, UserError, trees
from mmjax.train import Mesh, activation, sharding

ROWS, LENGTH, WIDTH = 8, 16, 32
MESHES = {
    "data": Mesh(data=8),
    "fsdp": Mesh(data=1, fsdp=8, fsdp_size=64),
    "tensor": Mesh(data=4, tensor=2),
    "context": Mesh(data=2, context=4),
    "heads": Mesh(data=2, context=4, exchange="heads"),
    "expert": Mesh(data=2, expert=4),
    "expert x tensor": Mesh(data=1, expert=2, fsdp=2, tensor=2, fsdp_size=64),
    "pipe": Mesh(data=2, pipe=2, tensor=2),
    "pipe x context": Mesh(data=2, pipe=2, context=2, pieces=2),
    "all": Mesh(data=1, fsdp=2, context=2, tensor=2, fsdp_size=64),
}
TRUNKS = {
    "packed": nn.Trunk(2, heads=4, mlp=2.0, causal=True, rotary=True),
    "scanned": nn.Trunk(2, heads=4, mlp=2.0, scan=True, remat="recompute", relative=8),
    "experts": nn.Trunk(2, heads=4, mlp=2.0, experts=4, capacity=1.0, balance=0.1),
}
CASES = [
    *(("packed", mesh) for mesh in ("data", "tensor", "context", "heads", "all")),
    *(("scanned", mesh) for mesh in ("fsdp", "context", "all", "pipe", "pipe x context")),
    *(("experts", mesh) for mesh in ("fsdp", "expert", "expert x tensor")),
]
TRAVELS = {"context": "collective-permute", "heads": "all-to-all", "expert": "all-to-all", "pipe": "collective-permute"}


def tokens():
    """Rows of two documents, one of them padded."""
    ends = jnp.arange(LENGTH)
    segments = jnp.stack(
        [jnp.where(ends < 5 + row % 3, 1, jnp.where(ends < 16 - row % 4, 2, 0)) for row in range(ROWS)]
    )
    values = jax.random.normal(jax.random.key(1), (ROWS, LENGTH, WIDTH))
    return Tokens(values, segments > 0, segments, jnp.broadcast_to(ends, (ROWS, LENGTH)))


def compiled(trunk, settings):
    """A loss and its gradients, the model, and the program before and after the compiler."""
    mesh = settings.build() if settings else Mesh(data=1).build(jax.devices()[:1])
    settings = settings or Mesh()
    model, given = activation.Placed(trunk, mesh, settings), tokens()
    given = given.replace(segments=None) if trunk.experts else given  # whose capacity packed documents would share
    params = trunk.init(jax.random.key(0), given, train=False)["params"]
    places = jax.tree.map(lambda s: jax.NamedSharding(mesh, s), sharding.specs({"trunk": params}, mesh, settings))

    def loss(params, given):
        out, wishes = model.apply({"params": params["trunk"]}, given, train=True, mutable=[LOSSES])
        return jnp.sum(jnp.sin(out.values) * out.mask[..., None]) / ROWS + sum(map(jnp.sum, jax.tree.leaves(wishes)))

    step = jax.jit(
        jax.value_and_grad(loss), in_shardings=(places, sharding.batch_sharding(mesh)), out_shardings=(None, places)
    )
    with jax.set_mesh(mesh):
        lowered = step.lower({"trunk": params}, given)
        program = lowered.compile()
        found = program(*jax.device_put(({"trunk": params}, given), (places, sharding.batch_sharding(mesh))))
    return found, model, lowered.as_text(), program.as_text()


@pytest.fixture(scope="module")
def alone():
    return {name: compiled(trunk, None)[0] for name, trunk in TRUNKS.items()}


@pytest.mark.parametrize("name, mesh", CASES)
def test_a_trunk_is_the_same_on_every_mesh(alone, name, mesh):
    settings = MESHES[mesh]
    (loss, grads), model, before, after = compiled(TRUNKS[name], settings)
    np.testing.assert_allclose(loss, alone[name][0], rtol=0, atol=1e-5)
    jax.tree.map(lambda one, many: np.testing.assert_allclose(many, one, rtol=0, atol=1e-4), alone[name][1], grads)

    # Every constraint that was asked for is in the program, and the pieces have the size that it says.
    asked = sum(len(given) for given in model.placed.values())
    assert asked >= {"packed": 2 * 5, "scanned": 4, "experts": 2 * 9}[name]
    assert before.count("sdy.sharding_constraint") >= asked
    for path, given in model.placed.items():
        for shape, place in given:
            piece, whole = (",".join(map(str, s)) for s in (place.shard_shape(shape), shape))
            if path.endswith(("up", "query", "dispatched")):
                assert re.search(rf"f32\[(1,)?{piece}\]", after), f"no {piece} of {path} {shape} in the program"
                assert not re.search(rf"f32\[(1,)?{whole}\]", after), f"the program holds all of {path} {shape}"
    for axis in mesh.split(" x "):
        assert TRAVELS.get(axis, "") in after


def test_kernels_of_convolutions_learn_the_same():
    """Their gradients came out doubled where context cut a picture and tensor did not."""
    encoder = encoders.Image(width=16, depth=1, heads=2, patch=4)
    pictures = Signal(jax.random.uniform(jax.random.key(2), (ROWS, 16, 16, 1)), jnp.ones((ROWS, 1), bool))
    params = encoder.init(jax.random.key(0), pictures, train=False)["params"]

    def grads(settings, devices):
        mesh = settings.build(jax.devices()[:devices])
        model = activation.Placed(encoder, mesh, settings)

        def loss(params, pictures):
            return jnp.sum(jnp.sin(model.apply({"params": params}, pictures, train=True).values)) / ROWS

        with jax.set_mesh(mesh):
            given = jax.device_put((params, pictures), (sharding.replicated(mesh), sharding.batch_sharding(mesh)))
            return jax.jit(jax.grad(loss))(*given)

    one, many = grads(Mesh(data=1), 1), grads(Mesh(data=2, context=2, tensor=2), 8)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=0, atol=1e-4), one, many)


def test_rules_of_ones_own_come_first_and_must_match():
    wide = Mesh(data=2, tensor=4, activations=((r"block_\d+$", ("data", "context+tensor", None)),))
    (_, _), model, _, after = compiled(TRUNKS["packed"], wide)
    assert model.placed["block_0"][0][1].spec[1] == ("context", "tensor") and "f32[4,4,32]" in after
    with pytest.raises(UserError, match="'nowhere' matches no layer; there are block_0"):
        compiled(TRUNKS["packed"], Mesh(activations=(("nowhere", ("data", None)),)))
    with pytest.raises(UserError, match=r"mesh rule for block_0.* names axis 'rows'"):
        compiled(TRUNKS["packed"], Mesh(activations=((r"block_\d+$", ("rows", None, None)),)))


def test_what_has_too_few_places_stays_whole_and_is_noted():
    settings = Mesh(data=2, context=4, activations=((r"up$", (None, None, "data+fsdp")),))
    mesh = settings.abstract(8)
    model = activation.Placed(nn.Mlp(1 / 32), mesh, settings)
    values = jnp.zeros((ROWS, LENGTH, WIDTH))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), values, train=False))
    jax.eval_shape(lambda v: model.apply(v, values, train=False), shapes)
    assert trees.flatten(shapes)["params/up/kernel"].shape == (WIDTH, 1)
    assert model.left == {"up": {("data+fsdp", 1)}} and tuple(model.placed["up"][0][1].spec) == (None,) * 3
