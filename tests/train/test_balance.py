"""Balance between modalities, against the gradients that it is made of."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import Multimodal, encoders, fusion, heads, objectives
from mmjax.core import Batch, Signal, UserError
from mmjax.train import Modulation, Optim, Pareto, Sgd, make_step
from mmjax.train.prepare import prepare
from mmjax.train.state import make_init

ROWS = 16
MODEL = Multimodal(
    encoders={name: encoders.Sensor(width=8, depth=0, patch=2) for name in "ab"},
    fusion=fusion.Late(width=8),
    heads={"label": heads.Classify(3), "of_a": heads.Classify(3, stream="a"), "of_b": heads.Classify(3, stream="b")},
)
OBJECTIVES = {
    "label": objectives.CrossEntropy("label"),
    "a": objectives.CrossEntropy("label", head="of_a", stream="a", weight=0.5),
    "b": objectives.CrossEntropy("label", head="of_b", stream="b", weight=0.5),
}


def make_batch():
    """Modality "a" all but shows the answer, and is missing in two rows; "b" is noise."""
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 3, ROWS)
    a = np.eye(3)[answers][:, None].repeat(4, 1) + 0.1 * rng.normal(size=(ROWS, 4, 3))
    here = np.broadcast_to((np.arange(ROWS) > 1)[:, None], (ROWS, 4))
    return Batch(
        {
            "a": Signal(jnp.asarray(a, jnp.float32), jnp.asarray(here)),
            "b": Signal(jnp.asarray(rng.normal(size=(ROWS, 4, 3)), jnp.float32), jnp.ones((ROWS, 4), bool)),
        },
        {"label": Signal(jnp.asarray(answers, jnp.int32), jnp.ones(ROWS, bool))},
    )


BATCH = make_batch()


@pytest.fixture(scope="module")
def state():
    """After a few plain steps, so that "a" is surer of itself."""
    optimizer = Optim(lr=0.5, rule=Sgd(momentum=0), clip=0).build(100)
    step = jax.jit(make_step(MODEL, OBJECTIVES, optimizer))
    now = jax.jit(make_init(MODEL, optimizer, BATCH))(jax.random.key(0))
    for _ in range(5):
        now, _ = step(now, BATCH)
    return now


def moved(state, balance, chosen=OBJECTIVES, batch=BATCH):
    """The gradient that a step takes, read off plain descent at rate 1; and its figures."""
    optimizer = Optim(lr=1.0, rule=Sgd(momentum=0), clip=0, schedule=Flat()).build(100)
    begun = state.replace(opt_state=optimizer.init(state.params))
    after, figures = jax.jit(make_step(MODEL, chosen, optimizer, balance=balance))(begun, batch)
    return jax.tree.map(jnp.subtract, begun.params, after.params), figures


@dataclasses.dataclass(frozen=True)
class Flat:
    def build(self, peak, steps):
        return lambda _: peak


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(np.float64)


def only(*names):
    return {n: o if n in names else dataclasses.replace(o, weight=0.0) for n, o in OBJECTIVES.items()}


def test_modulation_slows_the_encoder_that_is_surer(state):
    plain, _ = moved(state, None)
    found, figures = moved(state, Modulation(alpha=0.4, noise=False))
    outputs = MODEL.apply({"params": state.params}, BATCH.inputs, train=False)
    answers, here = np.asarray(BATCH.targets["label"].values), np.asarray(BATCH.inputs["a"].mask[:, 0])
    sure = {n: np.asarray(jax.nn.softmax(outputs.heads[f"of_{n}"]))[np.arange(ROWS), answers] for n in "ab"}
    ratio = sure["a"][here].mean() / sure["b"].mean()
    assert ratio > 1
    np.testing.assert_allclose(figures["balance/a"], 1 - np.tanh(0.4 * ratio), rtol=1e-5)
    assert figures["balance/b"] == 1
    for name, part in plain.items():
        factor = figures["balance/a"] if name == "encoders_a" else 1.0
        np.testing.assert_allclose(flat(found[name]), factor * flat(part), rtol=1e-3, atol=1e-6)


def test_modulation_leaves_a_modality_without_others_alone(state):
    gone = BATCH.inputs["b"].replace(mask=jnp.zeros_like(BATCH.inputs["b"].mask))
    batch = BATCH.replace(inputs={**BATCH.inputs, "b": gone})
    plain, _ = moved(state, None, batch=batch)
    found, figures = moved(state, Modulation(noise=False), batch=batch)
    assert (figures["balance/a"], figures["balance/b"]) == (1, 1)
    np.testing.assert_allclose(flat(found), flat(plain), rtol=1e-4, atol=1e-6)


def test_noise_has_the_size_of_each_gradient(state):
    still, _ = moved(state, Modulation(noise=False))
    noisy, _ = moved(state, Modulation())
    plain, _ = moved(state, None)
    for name, part in still.items():
        if not name.startswith("encoders"):
            np.testing.assert_allclose(flat(noisy[name]), flat(part), rtol=1e-4, atol=1e-6)
    for name in ("encoders_a", "encoders_b"):
        for clean, dirty, whole in zip(*map(jax.tree.leaves, (still[name], noisy[name], plain[name])), strict=True):
            if clean.size > 20:
                assert 0.5 < np.std(dirty - clean) / np.std(whole) < 1.6


def test_pareto_descends_on_both_losses_of_an_encoder(state):
    found, figures = moved(state, Pareto(scale=1.5))
    joint, whole = moved(state, None, only("label"))[0], moved(state, None)[0]
    for name in "ab":
        g, h = flat(joint[f"encoders_{name}"]), flat(moved(state, None, only(name))[0][f"encoders_{name}"])
        step = flat(found[f"encoders_{name}"])
        if g @ h >= 0:
            share, expected = 0.5, 1.5 * (g + h)
        else:
            share = np.clip((h - g) @ h / ((h - g) @ (h - g)), 0, 1)
            expected = 2 * share * g + 2 * (1 - share) * h
            expected *= 1.5 * max(np.linalg.norm(g + h) / np.linalg.norm(expected), 1)
        np.testing.assert_allclose(figures[f"balance/{name}"], share, rtol=1e-3)
        np.testing.assert_allclose(step, expected, rtol=1e-2, atol=1e-5)
        assert step @ g > -1e-6 and step @ h > -1e-6
    for name in whole:
        if not name.startswith("encoders"):
            np.testing.assert_allclose(flat(found[name]), flat(whole[name]), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("angle", [10, 80, 100, 150, 179.9])
def test_pareto_of_any_two_gradients(angle):
    """The shortest vector of the segment between them, where they point apart."""
    from mmjax.train.balance import _common

    g, h = np.array([1.0, 0.0]), 2 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    found, share = _common(jnp.asarray(g, jnp.float32), jnp.asarray(h, jnp.float32), 1.0)
    shares = np.linspace(0, 1, 10001)[:, None]
    shortest = shares[np.argmin(np.linalg.norm(shares * g + (1 - shares) * h, axis=1)), 0] if angle > 90 else 0.5
    np.testing.assert_allclose(share, shortest, atol=2e-3)
    length = max(np.linalg.norm(2 * shortest * g + 2 * (1 - shortest) * h), np.linalg.norm(g + h))
    assert np.linalg.norm(found) == pytest.approx(length, rel=2e-3)
    assert found @ g > 0 and found @ h > 0


def test_mistakes_are_told(tiny):
    params = {"encoders_a": {}, "encoders_b": {}}
    alone = {name: OBJECTIVES[name] for name in ("label", "a")}
    number = {**OBJECTIVES, "b": objectives.SquaredError("dose", stream="b")}
    for balance, given, known, message in [
        (Modulation(), alone, params, "objectives of 2 streams or more are wanted, .* there are a$"),
        (Modulation(), number, params, "objectives.b is not about one of several classes"),
        (Pareto(), {"label": OBJECTIVES["label"]}, params, "there are none$"),
        (Pareto(), {"a": OBJECTIVES["a"]}, params, "all objectives are of one stream"),
        (Pareto(), OBJECTIVES, {"encoders_a": {}}, "no encoder of stream 'b'"),
    ]:
        with pytest.raises(UserError, match=message):
            balance.check(given, known)
    with pytest.raises(UserError, match=r"there are none$"):
        prepare(tiny(balance=Pareto()))
