"""DINO and FixMatch against the papers' sums in float64 numpy, and that they learn what they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from mmjax import Multimodal, fusion, heads, objectives, views
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError
from mmjax.train import Adam, Constant, Optim, make_step
from mmjax.train.state import make_init
from mmjax.train.viewed import seen

RNG = np.random.default_rng(0)
ROWS, K = 5, 4
HERE = np.asarray([True, True, False, True, True])


def saying(logits, name="teacher"):
    """One who says these logits whatever is asked."""
    return lambda inputs: Outputs({}, Tokens(logits[:, None], jnp.ones((len(logits), 1), bool)), {name: logits})


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def make_batch(labelled=None):
    inputs = {"x": Signal(jnp.zeros((ROWS, 3)), jnp.repeat(jnp.asarray(HERE)[:, None], 3, axis=1))}
    if labelled is None:
        return Batch(inputs, {})
    return Batch(inputs, {"label": Signal(jnp.asarray([0, 1, 2, 3, 0]), jnp.asarray(labelled))})


def slopes_agree(function, gradient, at):
    step = 1e-5
    for seed in range(5):
        way = np.random.default_rng(seed).normal(size=at.shape)
        found = (function(at + step * way) - function(at - step * way)) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * way), found, rtol=1e-6, atol=1e-9)


def evened(logits, rounds):
    """Rows and columns scaled in turn, each to an equal share (SwAV's Sinkhorn)."""
    shares = np.where(HERE[:, None], np.exp(logits / 0.04), 0).reshape(-1, K)
    for _ in range(rounds):
        shares /= shares.sum(axis=0) * K
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300) * 2 * HERE.sum()
    return (shares * 2 * HERE.sum()).reshape(logits.shape)


@pytest.mark.parametrize(("crops", "rounds"), [(0, 0), (3, 0), (1, 3)])
def test_dino_is_the_papers_sum(crops, rounds):
    taught, said = RNG.normal(size=(2, ROWS, K)) / 10, RNG.normal(size=(2 + crops, ROWS, K)) / 3

    def wanted(said):
        centre = taught[:, HERE].mean(axis=(0, 1))
        teacher = evened(taught, rounds) if rounds else softmax((taught - centre) / 0.04)
        student = softmax(said / 0.1)
        terms = [
            -np.sum(teacher[g, i] * np.log(student[v, i]))
            for g in range(2)
            for v in range(2 + crops)
            for i in np.flatnonzero(HERE)
            if v != g
        ]
        return np.mean(terms)

    def found(said):
        view = views.Dino({}, locals=crops, even=rounds)
        batch = view(make_batch(), said=saying(jnp.asarray(taught.reshape(-1, K))), key=jax.random.key(0))
        outputs = saying(jnp.reshape(said, (-1, K)))(None)
        return objectives.Dino()(outputs, batch).value()

    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(found)(said)
        gradient = np.asarray(gradient)
    np.testing.assert_allclose(value, wanted(said), rtol=1e-6)
    slopes_agree(wanted, gradient, said)


def test_fixmatch_is_the_papers_sum():
    labelled = np.asarray([True, False, False, False, False])
    weak = np.log(softmax(np.asarray([[9, 0, 0, 0], [0, 5, 0, 0], [8, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 4.0]])))
    strong = RNG.normal(size=(ROWS, K))
    view = views.FixMatch({}, {}, threshold=0.9)

    def wanted(strong):
        likely, logs = softmax(weak), np.log(softmax(strong))
        sure = [i for i in (1, 3, 4) if likely[i].max() >= 0.9]
        assert sure == [1, 4]
        return sum(-logs[i, likely[i].argmax()] for i in sure) / 3

    def found(strong):
        batch = view(make_batch(labelled), said=saying(jnp.asarray(weak), "label"), key=jax.random.key(0))
        np.testing.assert_array_equal(batch.targets["label"].mask, [*labelled, *[False] * ROWS])
        outputs = saying(jnp.concatenate([jnp.asarray(weak), strong]), "label")(None)
        return objectives.PseudoLabel(head="label")(outputs, batch).value()

    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(found)(strong)
        gradient = np.asarray(gradient)
    np.testing.assert_allclose(value, wanted(strong), rtol=1e-6)
    slopes_agree(wanted, gradient, strong)


def test_what_is_not_there_is_told():
    ask = {"said": saying(jnp.zeros((2 * ROWS, K))), "key": jax.random.key(0)}
    with pytest.raises(UserError, match="no head 'other'; it has teacher"):
        views.Dino({}, head="other")(make_batch(), **ask)
    with pytest.raises(UserError, match="no target 'kind'; there are label"):
        views.FixMatch({}, {}, target="kind")(make_batch(HERE), **ask)
    with pytest.raises(UserError, match="no head 'label'; it has teacher"):
        views.FixMatch({}, {})(make_batch(HERE), **ask)


class Points(linen.Module):
    """Numbers to one token."""

    @linen.compact
    def __call__(self, signal, *, train):
        hidden = linen.gelu(linen.Dense(32, name="up")(signal.values))
        return Tokens(linen.Dense(16, name="down")(hidden)[:, None], jnp.any(signal.mask, axis=1, keepdims=True))


class Nuisance:
    """Half of the numbers drawn anew, large."""

    def __call__(self, values, *, key):
        return values.at[:, 4:].set(3 * jax.random.normal(key, values[:, 4:].shape))


def clusters(seed, rows=256):
    """Four clusters in four numbers, beside four larger ones that tell nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, rows)
    points = np.concatenate(
        [np.eye(4)[labels] + 0.1 * rng.normal(size=(rows, 4)), 3 * rng.normal(size=(rows, 4))], axis=1
    )
    return Signal(jnp.asarray(points, jnp.float32), jnp.ones((rows, 8), bool)), labels


def learned(model, objectives, view, batch, optim, steps):
    """Averaged weights after so many steps on one batch, and those before."""
    optimizer = optim.build(steps)
    state = make_init(model, optimizer, seen(view, model, batch))(jax.random.key(1))
    begun, step = {"params": state.params}, make_step(model, objectives, optimizer, views=view)
    state, _ = jax.jit(lambda s: jax.lax.scan(lambda s, _: (step(s, batch)[0], None), s, None, length=steps))(state)
    return {"params": state.params}, begun


def told(model, weights):
    """How well the encoder's vectors tell clusters: the nearest class mean of other points."""
    found = []
    for seed in (1, 2):
        signal, labels = clusters(seed)
        found.append((np.asarray(model.apply(weights, {"x": signal}, train=False).streams["x"].values[:, 0]), labels))
    (known, names), (asked, wanted) = found
    means = np.stack([known[names == k].mean(axis=0) for k in range(4)])
    return np.mean(np.argmin(np.linalg.norm(asked[:, None] - means, axis=-1), axis=1) == wanted)


@pytest.mark.parametrize("kind", ["dino", "simclr"])
def test_views_of_one_modality_teach_what_they_share(kind):
    signal, _ = clusters(0)
    by = {"x": (Nuisance(), views.Noise(0.05))}
    if kind == "dino":
        head = {"teacher": heads.Prototypes(16, hidden=(), width=8)}
        model = Multimodal({"x": Points()}, fusion.Late(width=16), head)
        view, goal, steps = views.Dino(by), {"dino": objectives.Dino()}, 300
    else:
        model = Multimodal({"x": Points()}, fusion.Towers(width=8, hidden=(16,)), {})
        view, goal, steps = views.Several(by), {"pairs": objectives.Between(objectives.SimCLR())}, 80
    optim = Optim(lr=1e-2, rule=Adam(), schedule=Constant(), warmup=0, average=0.99)
    after, before = learned(model, goal, view, Batch({"x": signal}, {}), optim, steps)
    assert told(model, before) < 0.6 < 0.95 < told(model, after)


def moons(seed, rows=256):
    """Two half circles that hold each other."""
    rng = np.random.default_rng(seed)
    labels, angle = rng.integers(0, 2, rows), np.pi * rng.random(rows)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(labels, -1, 1)[:, None]
    points += np.where(labels, 1, 0)[:, None] * [[1, 0.5]] + 0.05 * rng.normal(size=(rows, 2))
    return Signal(jnp.asarray(points, jnp.float32), jnp.ones((rows, 2), bool)), labels


def test_fixmatch_learns_from_rows_without_labels():
    signal, labels = moons(5)
    few = np.zeros(len(labels), bool)
    few[[*np.flatnonzero(labels == 0)[:4], *np.flatnonzero(labels == 1)[:4]]] = True
    batch = Batch({"x": signal}, {"label": Signal(jnp.asarray(labels, jnp.int32), jnp.asarray(few))})
    model = Multimodal({"x": Points()}, fusion.Late(width=16), {"label": heads.Classify(2)})
    optim = Optim(lr=1e-2, rule=Adam(), schedule=Constant(), warmup=0)
    goal = {"label": objectives.CrossEntropy("label")}
    view = views.FixMatch({"x": (views.Noise(0.02),)}, {"x": (views.Noise(0.2),)})
    more = {**goal, "pseudo": objectives.PseudoLabel(head="label")}
    right = []
    for objective, how in ((goal, None), (more, view)):
        weights, _ = learned(model, objective, how, batch, optim, 600)
        asked, wanted = moons(1)
        said = model.apply(weights, {"x": asked}, train=False).heads["label"]
        right.append(np.mean(np.argmax(said, axis=1) == wanted))
    assert right[1] > 0.97 and right[1] > right[0] + 0.05
