"""Products in eight bits while a model trains, and the plain model in all that is kept of it."""

import dataclasses
import shutil
import types

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import linen
from jax.extend import core

import mmjax
from mmjax import fusion
from mmjax.core import UserError, trees
from mmjax.nn import Mixture
from mmjax.train import Lora, Mesh, Optim, Quantized, Sgd, place
from mmjax.train import quantized as rounding
from mmjax.train.folder import CHECKPOINTS, Folder
from mmjax.train.prepare import blank, prepare
from tests.train.test_sharding import One, run
from tools.bench import workload

INT8 = Quantized(forward="int8", backward="int8", kernels="int8")
FLOAT8 = Quantized(forward="float8_e4m3fn", backward="float8_e5m2", kernels="float8_e5m2")
LARGEST = {"int8": 127.0, "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


@pytest.fixture(scope="module")
def small(tiny):
    """The tiny experiment with its pictures alone: one block, and three layers with a kernel around it."""

    def make(**changes):
        made = tiny(**changes)
        model = made.model.clone(encoders={"image": made.model.encoders["image"]}, fusion=fusion.Late(width=16))
        return dataclasses.replace(made, model=model)

    return make


def rounded(array, kind, along):
    """In float64: symmetric, with a scale for each row along an axis."""
    array = np.asarray(array, np.float64)
    scale = np.abs(array).max(axis=along, keepdims=True) / LARGEST[kind]
    scale = np.where(scale == 0, 1, scale)
    if kind == "int8":
        return np.round(array / scale) * scale
    return (array / scale).astype(np.float32).astype(getattr(ml_dtypes, kind)).astype(np.float64) * scale


def by_hand(values, kernel, gradient, own):
    """The three products of a dense layer whose rows of inputs are ``values``."""
    left, right = rounded(values, own.forward, 1), rounded(kernel, own.forward, 0)
    scales = [np.abs(x).max(axis=axis) / LARGEST[own.forward] for x, axis in ((values, 1), (kernel, 0))]
    back, toward = gradient @ np.float64(kernel).T, np.float64(values).T @ gradient
    if own.backward:
        back = rounded(gradient * scales[1], own.backward, 1) @ (right / scales[1]).T
    if own.kernels:
        toward = (left / scales[0][:, None]).T @ rounded(gradient * scales[0][:, None], own.kernels, 0)
    return left @ right, back, toward


@pytest.mark.parametrize(
    "own",
    [INT8, FLOAT8, Quantized("int8"), Quantized("int8", "int8"), Quantized("int8", kernels="int8")],
    ids=["int8", "float8", "forward", "backward", "kernels"],
)
def test_a_dense_layer_is_what_it_is_by_hand(own):
    """Forward and both gradients against numpy in float64: half a step of the finest rounding at most apart."""
    rng = np.random.default_rng(0)
    values, gradient = (rng.normal(size=(40, n)).astype(np.float64) for n in (24, 16))
    layer, named = linen.Dense(16, use_bias=False, dtype=jnp.float64), dataclasses.replace(own, where=("",))

    with jax.enable_x64(True):
        params = {"kernel": jnp.asarray(rng.normal(size=(24, 16)))}
        model = rounding.over(layer, named)
        out, back = jax.vjp(lambda p, v: model.apply({"params": p}, v), params, jnp.asarray(values))
        toward, behind = back(jnp.asarray(gradient))
    wanted = by_hand(values, np.asarray(params["kernel"]), gradient, own)
    for got, want in zip((out, behind, toward["kernel"]), wanted, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.abs(want).max())
    plain = values @ np.asarray(params["kernel"])
    assert 0 < np.abs(np.asarray(out) - plain).max() < (0.02 if own.forward == "int8" else 0.1) * np.abs(plain).max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_heads_and_experts_are_rows_of_dense_layers(dtype):
    """Kernels of several axes, and one for each expert, give what a dense layer of the same rows gives."""
    rng = np.random.default_rng(0)

    def drawn(*shape):
        return jnp.asarray(rng.normal(size=shape), dtype)

    def sliced(values, kernel):
        return rounding.multiplied(values, kernel, (((1,), (0,)), ((), ())), INT8)

    def same(got, want):
        np.testing.assert_allclose(got, want.reshape(got.shape), rtol=0, atol=2**-20 * np.abs(want).max())

    values, kernel = drawn(3, 5, 4, 6), drawn(4, 6, 7)  # as what goes out of attention
    dims = (((2, 3), (0, 1)), ((), ()))
    one, back = jax.vjp(lambda v, k: rounding.multiplied(v, k, dims, INT8), values, kernel)
    other, behind = jax.vjp(sliced, values.reshape(15, 24), kernel.reshape(24, 7))
    same(np.float32(one), np.float32(other))
    gradient = drawn(3, 5, 7)
    for got, want in zip(back(gradient), behind(gradient.reshape(15, 7)), strict=True):
        assert got.dtype == dtype
        same(np.float32(got), np.float32(want))
    values, kernel, gradient = drawn(3, 2, 4, 6), drawn(2, 6, 7), drawn(2, 3, 4, 7)
    dims = (((3,), (1,)), ((1,), (0,)))
    one, back = jax.vjp(lambda v, k: rounding.multiplied(v, k, dims, INT8), values, kernel)
    toward_values, toward_kernel = back(gradient)
    for expert in range(2):
        other, behind = jax.vjp(sliced, values[:, expert].reshape(12, 6), kernel[expert])
        same(np.float32(one[expert]), np.float32(other))
        want = behind(gradient[expert].reshape(12, 7))
        same(np.float32(toward_values[:, expert]), np.float32(want[0]))
        same(np.float32(toward_kernel[expert]), np.float32(want[1]))


def test_what_an_int32_cannot_hold_is_refused():
    def gradient(values, kernel):
        return jax.grad(lambda k: jnp.sum(rounding.multiplied(values, k, (((1,), (0,)), ((), ())), INT8)))(kernel)

    kernel, most = jnp.ones((1, 1)), (2**31 - 1) // 127**2
    np.testing.assert_allclose(jax.jit(gradient)(jnp.ones((most, 1)), kernel), most, rtol=1e-6)
    with pytest.raises(UserError, match="holds 133,144 products of int8, and a kernel's gradient sums 133,145"):
        jax.eval_shape(gradient, jnp.ones((most + 1, 1)), kernel)


def test_experts_are_rounded_and_their_router_is_not():
    mixture = Mixture(experts=4)
    values = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 16)), jnp.float32)
    variables = mixture.init(jax.random.key(0), values, train=False)
    model = rounding.over(mixture, INT8)
    assert counted(lambda v: model.apply(variables, v, train=False), values) == {"int8": 2, "float32": 1}
    out, plain = (m.apply(variables, values, train=False) for m in (model, mixture))
    assert 0 < np.abs(out - plain).max() < 0.03 * np.abs(plain).max()


def counted(function, *args):
    """Matrix products in a function's jaxpr by the type of what they multiply; bodies of loops count once."""
    found = {}

    def through(jaxpr):
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == "dot_general":
                kind = str(eqn.invars[0].aval.dtype)
                found[kind] = found.get(kind, 0) + 1
            for inner in jax.tree.leaves(eqn.params, is_leaf=lambda x: isinstance(x, core.Jaxpr | core.ClosedJaxpr)):
                if isinstance(inner, core.Jaxpr | core.ClosedJaxpr):
                    through(getattr(inner, "jaxpr", inner))

    through(jax.make_jaxpr(function)(*args).jaxpr)
    return found


def stepped(experiment):
    """Products in a training step's jaxpr by type."""
    p = prepare(experiment)
    with jax.set_mesh(p.mesh):
        return counted(p.function, p.shapes, blank(experiment, p.schema))


def test_what_is_asked_for_is_in_eight_bits_and_nothing_else(small):
    """Each layer has one product forward and two backward; attention, first layers and heads stay as they are."""
    plain = stepped(small())
    told = [note for note in prepare(small(quantized=INT8)).notes if note.startswith("quantized")]
    assert told == [
        "quantized: 6 of 9 layers with a kernel multiply in int8, back in int8, for kernels in int8",
        "quantized: cpu does not multiply int8 itself; expect slower steps, not faster",
    ]
    found = stepped(small(quantized=INT8))
    assert found["int8"] == 3 * 6 and found["int8"] + found["float32"] == plain["float32"]
    found = stepped(small(quantized=FLOAT8))
    assert found["float8_e4m3fn"] == 6 and found["float8_e5m2"] == 12
    assert stepped(small(quantized=Quantized("int8", where=("^heads_label/",))))["int8"] == 1


@pytest.mark.parametrize(
    "way",
    [
        {"optim": Optim(accumulate=2)},
        {"lora": Lora(rank=2, where=("(query|up)/kernel$",)), "optim": Optim(frozen=(r"^(?!lora/)",))},
        {"mesh": Mesh(data=4, context=2)},
        {"mesh": Mesh(data=4, pipe=2), "scan": True},
        {"scan": True, "remat": "products"},
        {"scan": True, "remat": "recompute"},
    ],
    ids=["accumulate", "lora", "context", "pipe", "products", "recompute"],
)
def test_every_way_of_training_is_rounded(way):
    model = {name: way[name] for name in ("scan", "remat") if name in way}
    fields = {name: value for name, value in way.items() if name not in model}
    made = workload.language(16, 16, 64, width=16, depth=2, heads=2, **model)
    found = stepped(dataclasses.replace(made, quantized=INT8, **fields))
    layers = (1 if "scan" in model else 2) * 6  # a loop's body has one
    again = layers - 1 if model.get("remat") == "recompute" else 0  # what the last gave is not asked for again
    # Neither a key nor a value of the first layer has anything before it that learns through a frozen kernel.
    assert found["int8"] == 3 * layers + again - (4 if "lora" in fields else 0)


def test_what_layers_keep_changes_no_gradient():
    """Rounded products are the same computed once or twice, in a loop or one after the other."""

    def gradient(**model):
        made = workload.language(8, 16, 64, width=16, depth=2, heads=2, scan=True, **model)
        net, batch = rounding.over(made.model, INT8), jax.tree.map(jnp.asarray, made.data.example())
        params = made.model.init(jax.random.key(0), batch.inputs, train=False)["params"]

        def loss(params):
            (objective,) = made.objectives.values()
            return objective(net.apply({"params": params}, batch.inputs, train=True), batch).value()

        return trees.flatten(jax.jit(jax.grad(loss))(params))

    kept = gradient()
    for remat in ("products", "recompute"):
        found = gradient(remat=remat)
        for path, leaf in kept.items():
            np.testing.assert_allclose(found[path], leaf, rtol=0, atol=1e-6, err_msg=path)


def test_eight_devices_give_what_one_gives():
    """Scales are of whole rows, wherever these lie.

    In float64 and for two steps of plain descent: parameters are float32, and their last bits, which hang on the order
    of sums, soon bring some number to the other side of a rounding.
    """
    made = workload.language(16, 16, 64, width=16, depth=1, heads=2, dtype="float64")
    made = dataclasses.replace(made, optim=Optim(rule=Sgd(), lr=0.05, clip=0.0))
    ways = {
        "one": (One(), INT8),
        "eight": (Mesh(data=2, fsdp=2, tensor=2, fsdp_size=64), INT8),
        "plain": (One(), Quantized()),
    }
    with jax.enable_x64(True):
        found = {name: descended(dataclasses.replace(made, mesh=m, quantized=q)) for name, (m, q) in ways.items()}
    losses, params = found["one"]
    np.testing.assert_allclose(found["eight"][0], losses, rtol=0, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * 0.05), found["eight"][1], params)
    assert np.abs(found["plain"][0] - losses).max() > 1e-4


def descended(experiment, steps=2):
    """Losses and parameters of some steps."""
    p, losses = prepare(experiment), []
    with jax.set_mesh(p.mesh):
        state = jax.jit(p.init, out_shardings=p.shardings)(jax.random.key(0))
        batch = place.put(experiment.data.example(), p.mesh)
        for _ in range(steps):
            state, metrics = p.step(state, batch)
            losses.append(float(metrics["loss"]))
    return np.array(losses), jax.device_get(state.params)


def test_a_run_keeps_the_plain_model_and_goes_on_bit_for_bit(small, tmp_path):
    """Its configuration and checkpoints know of eight bits only that they were asked for."""
    experiment = dataclasses.replace(small(quantized=INT8, run={"steps": 4, "save_every": 2}), evaluators={})
    straight = mmjax.train(experiment, workdir=tmp_path / "straight", quiet=True)
    assert Folder(tmp_path / "straight").experiment() == experiment
    shutil.copytree(tmp_path / "straight", tmp_path / "halves")
    shutil.rmtree(tmp_path / "halves" / CHECKPOINTS / "4")
    again = mmjax.train(experiment, workdir=tmp_path / "halves", quiet=True)
    jax.tree.map(np.testing.assert_array_equal, again.weights, straight.weights)
    plain, shapes = (jax.eval_shape(prepare(e).init, jax.random.key(0)) for e in (small(), experiment))
    assert jax.tree.structure(plain) == jax.tree.structure(shapes)


def test_evaluation_rounds_nothing(small):
    """Weights that do not move are worth to the last bit what they are worth without."""
    still = {"lr": 0.0, "warmup": 0, "average": 0.0}
    one, other = (
        mmjax.train(small(quantized=own, mesh=One(), run={"steps": 1}, optim=still), quiet=True).evaluations
        for own in (INT8, Quantized())
    )
    assert one == other


def test_it_learns_as_without(small):
    """Sixty steps: the loss falls as far, to a twentieth."""
    ends = []
    for own in (Quantized(), INT8, FLOAT8):
        losses, _ = run(small(quantized=own, mesh=One(), run={"steps": 60}), steps=60)
        ends.append((losses[:5].mean(), losses[-10:].mean()))
    assert ends[0][1] < 0.8 * ends[0][0]
    for _, end in ends[1:]:
        assert abs(end - ends[0][1]) < 0.05 * ends[0][1]


def test_what_cannot_be_is_said_in_one_line(small):
    for fields, line in (
        ({"forward": "int4"}, "quantized.forward is 'int4'; it can be int8, float8_e4m3fn, float8_e5m2, or ''"),
        ({"backward": "int8"}, "quantized.backward=int8 reads what quantized.forward rounds; set that, too"),
        ({"forward": "int8", "kernels": "float8_e5m2"}, "quantized.kernels=float8_e5m2 meets int8"),
        ({"forward": "int8", "where": ()}, "quantized.forward=int8 rounds no layer, as quantized.where names none"),
        ({"forward": "int8", "where": ("(up",)}, r"quantized.where: '\(up' is no regular expression"),
    ):
        with pytest.raises(UserError, match=line):
            Quantized(**fields)
    with pytest.raises(UserError, match=r"quantized\.where: 'quarry' is found in no layer with a kernel; there are"):
        prepare(small(quantized=Quantized("int8", where=("query", "quarry"))))


@pytest.mark.parametrize(
    "platform, kind, capability, native",
    [
        ("cpu", "cpu", None, set()),
        ("tpu", "TPU v4", None, set()),
        ("tpu", "TPU v5 lite", None, {"int8"}),
        ("tpu", "TPU v6 lite", None, {"int8"}),
        ("tpu", "TPU7x", None, {"float8_e4m3fn", "float8_e5m2"}),
        ("gpu", "Tesla V100", "7.0", set()),
        ("gpu", "NVIDIA A100", "8.0", {"int8"}),
        ("gpu", "NVIDIA H100", "9.0", {"int8", "float8_e4m3fn", "float8_e5m2"}),
        ("gpu", "NVIDIA B200", "10.0", {"int8", "float8_e4m3fn", "float8_e5m2"}),
    ],
)
def test_devices_multiply_what_their_makers_say(platform, kind, capability, native):
    device = types.SimpleNamespace(platform=platform, device_kind=kind, compute_capability=capability)
    assert {name for name in rounding.TYPES if rounding.native(name, device)} == native
