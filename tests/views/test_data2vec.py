"""data2vec: the layers that a teacher gives, the papers' sum in float64 numpy, and that hidden patches are foretold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from mmjax import Multimodal, encoders, fusion, heads, nn, objectives, views
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError
from mmjax.train import Adam, Constant, Optim, make_step
from mmjax.train.optim import averaged
from mmjax.train.state import make_init
from mmjax.train.viewed import Said, seen

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


class Layered(linen.Module):
    """A trunk alone."""

    scan: bool = False
    remat: str = "keep"

    @linen.compact
    def __call__(self, signal, *, train):
        trunk = nn.Trunk(2, heads=2, mlp=2.0, scan=self.scan, remat=self.remat, name="trunk")
        return trunk(Tokens(signal.values, signal.mask), train=train)


def layered(**fields):
    return Multimodal({"x": Layered(**fields)}, fusion.Late(width=4), {})


def test_layers_are_what_mlps_add():
    signal = Signal(jnp.asarray(RNG.normal(size=(3, 5, 8)), jnp.float32), jnp.ones((3, 5), bool))
    variables = layered().init(KEY, {"x": signal}, train=False)
    params = variables["params"]["encoders_x"]["trunk"]
    found = Said(layered(), variables).layers({"x": signal}, "x")
    block, values = nn.Block(2, mlp=2.0), signal.values
    for i, layer in enumerate(found):
        own = params[f"block_{i}"]
        silent = {**own, "mlp": jax.tree.map(jnp.zeros_like, own["mlp"])}
        after, before = (block.apply({"params": p}, values, None, train=False) for p in (own, silent))
        np.testing.assert_allclose(layer.values, after - before, atol=1e-5)
        values = after
    assert len(found) == 2
    blocks = jax.tree.map(lambda *leaves: jnp.stack(leaves), params["block_0"], params["block_1"])
    stacked = {**variables["params"], "encoders_x": {"trunk": {"blocks": blocks, "norm": params["norm"]}}}
    for fields in ({"scan": True}, {"scan": True, "remat": "recompute"}):
        scanned = Said(layered(**fields), {"params": stacked}).layers({"x": signal}, "x")
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), scanned, found)
    recomputed = Said(layered(remat="recompute"), variables).layers({"x": signal}, "x")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), recomputed, found)
    with pytest.raises(UserError, match="the model's 'y' has no layers with an MLP"):
        Said(layered(), variables).layers({"x": signal}, "y")


class Teacher:
    """Two layers of given features."""

    def __init__(self, layers, mask):
        self.given = [Tokens(layer, mask) for layer in layers]

    def layers(self, inputs, stream):
        return self.given


def test_it_is_the_papers_sum():
    rows, tokens, width = 3, 7, 4  # a class token and a grid of 2 x 3
    layers, said = RNG.normal(size=(3, rows, tokens, width)), RNG.normal(size=(rows, tokens, width))
    here = np.asarray([True, True, False])
    batch = Batch({"image": Signal(jnp.zeros((rows, 4, 5, 1)), jnp.asarray(here)[:, None])}, {})
    view = views.Data2vec("image", patch=2, hide=0.5, top=2, first=1)

    def made():
        teacher = Teacher(jnp.asarray(layers), jnp.repeat(jnp.asarray(here)[:, None], tokens, axis=1))
        return view(batch, said=teacher, key=KEY)

    hidden = np.asarray(made().targets["teacher"].mask)
    assert hidden[here].sum(axis=1).tolist() == [3, 3] and not hidden[:, 0].any() and not hidden[~here].any()

    def wanted(said):
        normed = [(x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) for x in layers[-2:]]
        off = np.abs(said - sum(normed) / 2)[hidden]
        return np.mean(np.where(off <= 0.8, off**2 / 1.6, off - 0.4))

    def found(said):
        outputs = Outputs({}, Tokens(said, jnp.ones((rows, tokens), bool)), {"teacher": Tokens(said, None)})
        return objectives.Data2vec(beta=0.8)(outputs, made()).value()

    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(found)(said)
        gradient = np.asarray(gradient)
    np.testing.assert_allclose(value, wanted(said), rtol=1e-6)
    for seed in range(5):
        way = np.random.default_rng(seed).normal(size=said.shape)
        step = 1e-6
        slope = (wanted(said + step * way) - wanted(said - step * way)) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * way), slope, rtol=1e-6, atol=1e-9)


def test_whole_patches_are_hidden():
    pictures = RNG.integers(1, 255, (4, 8, 8, 1)).astype(np.uint8)
    batch = Batch({"image": Signal(pictures, np.ones((4, 1), bool))}, {})
    teacher = Teacher(jnp.zeros((2, 4, 16, 3)), jnp.ones((4, 16), bool))
    found = views.Data2vec("image", patch=2, block=2, hide=0.5, fill=-1.0)(batch, said=teacher, key=KEY)
    hidden = np.asarray(found.targets["teacher"].mask).reshape(4, 4, 4)
    assert np.all(hidden == np.kron(hidden[:, ::2, ::2], np.ones((1, 2, 2)))) and np.all(hidden.sum(axis=(1, 2)) == 8)
    np.testing.assert_array_equal(
        found.inputs["image"].values[..., 0], pictures[..., 0] * (1 - np.kron(hidden, np.ones((1, 2, 2))))
    )
    series = Batch({"image": Signal(jnp.ones((4, 12)), jnp.ones((4, 12), bool))}, {})
    teacher = Teacher(jnp.zeros((2, 4, 4, 3)), jnp.ones((4, 4), bool))
    found = views.Data2vec("image", patch=3, hide=0.5)(series, said=teacher, key=KEY)
    assert np.all(found.inputs["image"].values.sum(axis=1) == 6)


def test_what_does_not_fit_is_told():
    batch = Batch({"image": Signal(jnp.zeros((4, 8, 8, 1)), jnp.ones((4, 1), bool))}, {})
    teacher = Teacher(jnp.zeros((2, 4, 16, 3)), jnp.ones((4, 16), bool))
    with pytest.raises(UserError, match="has 16 tokens, not first=0 and 2 x 2 patches of 4"):
        views.Data2vec("image", patch=4)(batch, said=teacher, key=KEY)
    with pytest.raises(UserError, match="top=3, but 'image' has 2 layers"):
        views.Data2vec("image", patch=2, top=3)(batch, said=teacher, key=KEY)


def waves(seed, rows=128):
    """Smooth pictures: what is hidden follows from what is seen."""
    rng = np.random.default_rng(seed)
    place = np.arange(8) / 8
    way, phase = rng.uniform(0.3, 1.0, (rows, 2)), rng.uniform(0, 2 * np.pi, (rows, 1, 1))
    angle = 2 * np.pi * (way[:, :1, None] * place[:, None] + way[:, 1:, None] * place) + phase
    return {"image": Signal(jnp.asarray(np.sin(angle)[..., None], jnp.float32), jnp.ones((rows, 1), bool))}


def test_what_is_hidden_is_foretold():
    image = encoders.Image(width=16, depth=2, heads=2, patch=2, convolutions=0, mlp=2.0)
    model = Multimodal({"image": image}, fusion.Late(width=4), {"teacher": heads.Project(16, stream="image")})
    view, goal = views.Data2vec("image", patch=2, hide=0.5), objectives.Data2vec(beta=1.0)
    optimizer = Optim(lr=3e-3, rule=Adam(), schedule=Constant(), warmup=0, average=0.999).build(300)
    state = make_init(model, optimizer, seen(view, model, Batch(waves(0), {})))(jax.random.key(1))
    step = jax.jit(make_step(model, {"goal": goal}, optimizer, views=view))
    for number in range(300):
        state, _ = step(state, Batch(waves(number), {}))
    variables = {"params": averaged(state.params, state.opt_state)}

    @jax.jit
    def measured():
        batch = view(Batch(waves(1_000), {}), said=Said(model, variables), key=KEY)
        told = batch.targets["teacher"]
        plain = jnp.mean(told.values, axis=0, keepdims=True) + jnp.zeros_like(told.values)
        outputs = model.apply({"params": state.params}, batch.inputs, train=False)
        naive = outputs.replace(heads={"teacher": plain})
        return goal(outputs, batch).value(), goal(naive, batch).value(), jnp.mean(jnp.var(told.values, axis=0))

    off, naive, spread = measured()
    assert spread > 0.1 and off < naive / 2
