"""Losses of preferences and rewards against NumPy in float64: values and gradients, masks, segments."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import objectives
from mmjax.core import Batch, Factored, Outputs, Signal, Tokens, UserError
from mmjax.objectives import advantage, chunked

RNG = np.random.default_rng(0)
ROWS, WORDS, WIDTH, VOCABULARY = 4, 6, 3, 5
FEATURES, KERNEL = RNG.normal(size=(ROWS, WORDS, WIDTH)), RNG.normal(size=(WIDTH, VOCABULARY))
IDS = RNG.integers(0, VOCABULARY, (ROWS, WORDS))
SEGMENTS = np.array([[1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 2, 0], [1, 2, 2, 2, 3, 3], [1, 1, 1, 1, 0, 0]])
MASK = np.array([[0, 1, 1, 0, 1, 1], [0, 1, 0, 1, 1, 0], [1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 0, 0]], bool)
GIVEN = {name: RNG.normal(size=MASK.shape) for name in ("advantage", "returns", "values")}
OWN = np.log(RNG.uniform(0.1, 0.9, MASK.shape)), np.log(RNG.uniform(0.1, 0.9, MASK.shape))
GIVEN |= dict(zip(("old", "reference"), OWN, strict=True))
SCORES = RNG.normal(size=MASK.shape)  # of a head of numbers
WORTH, JUDGED = (
    np.array([[2, 1, 3], [1, 1, 2], [0, 2, 1], [1, 0, 0]]),
    np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0]]),
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Cut in pieces where nobody would."""
    monkeypatch.setattr(chunked, "_ROWS", 4)
    monkeypatch.setattr(chunked, "_LOGITS", 1)


def loss(objective, features, kernel, scores, *, dense=False, spoil=False, without=()):
    """What the objective says, of words by factors or logits and of numbers."""
    away = jnp.where(MASK, 0.0, jnp.nan) if spoil else 0.0
    said = jnp.asarray(features) + (away[..., None] if spoil else 0)
    empty = Tokens(jnp.zeros((1, 1, 1)), jnp.ones((1, 1), bool))
    heads = {"next": said @ kernel if dense else Factored(said, jnp.asarray(kernel)), "value": scores + away}
    heads["reward"] = jnp.asarray(scores)
    targets = {name: Signal(jnp.asarray(values) + away, MASK) for name, values in GIVEN.items() if name not in without}
    targets["next"] = Signal(jnp.asarray(np.where(MASK, IDS, -1) if spoil else IDS), jnp.asarray(MASK), SEGMENTS)
    targets["worth"] = Signal(jnp.asarray(WORTH), jnp.asarray(JUDGED, bool))
    text = Signal(jnp.asarray(IDS), jnp.asarray(SEGMENTS > 0), jnp.asarray(SEGMENTS))
    return objective(Outputs({}, empty, heads), Batch({"text": text}, targets)).value()


def logs(features, kernel):
    """Log-probabilities of the words."""
    scores = features @ kernel
    scores = scores - scores.max(-1, keepdims=True)
    normal = np.log(np.exp(scores).sum(-1))
    return np.take_along_axis(scores, IDS[..., None], -1)[..., 0] - normal


def policy(features, kernel, scores, *, average="answer", length=0, clip=0.2, above=0.2, toll=0.0, old=None):
    own = logs(features, kernel)
    old = GIVEN["old"] if old is None else old
    rows = []
    for i in range(ROWS):
        found = []
        for t in np.flatnonzero(MASK[i]):
            ratio, gain = np.exp(own[i, t] - old[i, t]), GIVEN["advantage"][i, t]
            near = min(max(ratio, 1 - clip), 1 + above)
            far = GIVEN["reference"][i, t] - own[i, t]
            found.append(-min(ratio * gain, near * gain) + toll * (np.exp(far) - far - 1))
        rows.append(found)
    if average == "word":
        return np.mean(np.concatenate(rows))
    return np.mean([sum(row) / (length or len(row)) for row in rows])


def critical(features, kernel, scores):
    return np.mean((-GIVEN["advantage"] * logs(features, kernel))[MASK])


def valued(features, kernel, scores, *, clip):
    losses = []
    for value, old, wanted in zip(scores[MASK], GIVEN["values"][MASK], GIVEN["returns"][MASK], strict=True):
        near = min(max(value, old - clip), old + clip) if clip else value
        losses.append(max((value - wanted) ** 2, (near - wanted) ** 2) / 2)
    return np.mean(losses)


def preferred(features, kernel, scores, *, kind, beta=0.1, doubt=0.0):
    own, losses = logs(features, kernel), []
    for i in range(ROWS):
        both = [MASK[i] & (SEGMENTS[i] == k) for k in (1, 2)]
        if not all(one.any() for one in both):
            continue
        if kind == "orpo":
            good, bad = (own[i][one].mean() for one in both)
            odds = np.log(np.exp(good) / (1 - np.exp(good))) - np.log(np.exp(bad) / (1 - np.exp(bad)))
            losses.append(-good + beta * np.log1p(np.exp(-odds)))
            continue
        good, bad = (own[i][one].sum() - GIVEN["reference"][i][one].sum() for one in both)
        if kind == "ipo":
            losses.append((good - bad - 1 / (2 * beta)) ** 2)
        else:
            z = beta * (good - bad)
            losses.append((1 - doubt) * np.log1p(np.exp(-z)) + doubt * np.log1p(np.exp(z)))
    return np.mean(losses)


def ranking(features, kernel, scores):
    losses = []
    for i in range(ROWS):
        ends = {k: scores[i][np.flatnonzero(SEGMENTS[i] == k)[-1]] for k in (1, 2, 3) if (SEGMENTS[i] == k).any()}
        pairs = []
        for one, other in itertools.permutations(range(3), 2):
            if JUDGED[i, one] and JUDGED[i, other] and WORTH[i, one] > WORTH[i, other]:
                gap = ends[one + 1] - ends[other + 1]
                pairs.append(np.log1p(np.exp(-gap)))
        if pairs:
            losses.append(np.mean(pairs))
    return np.mean(losses)


CASES = {
    "ppo": (objectives.Policy(average="word"), policy, {"average": "word"}),
    "higher": (objectives.Policy(average="word", above=0.4), policy, {"average": "word", "above": 0.4}),
    "grpo": (objectives.Policy(toll=0.04), policy, {"toll": 0.04}),
    "unbiased": (objectives.Policy(average="length", length=6), policy, {"average": "length", "length": 6}),
    "scst": (objectives.SelfCritical(), critical, {}),
    "values": (objectives.Values(), valued, {"clip": 0.2}),
    "values_free": (objectives.Values(clip=0.0), valued, {"clip": 0.0}),
    "dpo": (objectives.Preference(), preferred, {"kind": "dpo"}),
    "dpo_doubtful": (objectives.Preference(doubt=0.1, beta=0.5), preferred, {"kind": "dpo", "doubt": 0.1, "beta": 0.5}),
    "ipo": (objectives.Preference(kind="ipo"), preferred, {"kind": "ipo"}),
    "orpo": (objectives.Preference(kind="orpo"), preferred, {"kind": "orpo"}),
    "ranking": (objectives.Ranking(), ranking, {}),
}


def slopes(function, given):
    """Central differences."""
    found = []
    for which, array in enumerate(given):
        slope = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = [one.copy() for one in given]
                moved[which][at] += step
                sides.append(function(*moved))
            slope[at] = (sides[0] - sides[1]) / 2e-5
        found.append(slope)
    return found


@pytest.mark.parametrize("name", CASES)
def test_equals_numpy_in_float64(name):
    objective, reference, fields = CASES[name]
    given = FEATURES, KERNEL, SCORES
    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(lambda *given: loss(objective, *given), argnums=(0, 1, 2)))
        found, grads = both(*given)
        dense = loss(objective, *given, dense=True)
    np.testing.assert_allclose(found, reference(*given, **fields), rtol=1e-6)
    np.testing.assert_allclose(dense, found, rtol=1e-5)
    for grad, wanted in zip(grads, slopes(lambda *given: reference(*given, **fields), given), strict=True):
        np.testing.assert_allclose(grad, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_answer_may_hold_anything(name):
    objective = CASES[name][0]
    given = [jnp.asarray(one, jnp.float32) for one in (FEATURES, KERNEL, SCORES)]

    def gradient(spoil):
        return jax.jit(jax.value_and_grad(lambda *g: loss(objective, *g, spoil=spoil), argnums=(0, 1, 2)))(*given)

    clean, spoilt = gradient(False), gradient(True)
    jax.tree.map(np.testing.assert_array_equal, clean, spoilt)
    assert not np.any(spoilt[1][0][~MASK]) and np.all(np.isfinite(spoilt[1][0]))


def test_new_words_have_a_ratio_of_one():
    objective = objectives.Policy(average="word")
    with jax.enable_x64(True):
        given = FEATURES, KERNEL, SCORES
        both = jax.value_and_grad(lambda *given: loss(objective, *given, without=("old",)), argnums=(0,))
        found, (grad,) = both(*given)
        old = logs(FEATURES, KERNEL)
        np.testing.assert_allclose(found, -GIVEN["advantage"][MASK].mean(), rtol=1e-6)
        (wanted,) = slopes(lambda f: policy(f, KERNEL, SCORES, average="word", old=old), [FEATURES])
        np.testing.assert_allclose(grad, wanted, rtol=1e-6, atol=1e-7)


def test_advantages_equal_numpy():
    gamma, trace = 0.9, 0.8
    rewards, values = GIVEN["returns"], GIVEN["values"]
    expected = np.zeros(MASK.shape)
    for i in range(ROWS):
        places = np.flatnonzero(MASK[i])
        deltas = [
            rewards[i, t] + gamma * (values[i, places[n + 1]] if n + 1 < len(places) else 0) - values[i, t]
            for n, t in enumerate(places)
        ]
        for n, t in enumerate(places):
            expected[i, t] = sum((gamma * trace) ** k * delta for k, delta in enumerate(deltas[n:]))
    score, own, reference = np.array([1.0, 0.0, 2.0, -1.0]), GIVEN["old"], GIVEN["reference"]
    wanted = np.where(MASK, -0.02 * (own - reference), 0)
    for i in range(ROWS):
        wanted[i, np.flatnonzero(MASK[i])[-1]] += score[i]
    with jax.enable_x64(True):
        mask = jnp.asarray(MASK)
        spoilt = [jnp.where(MASK, one, jnp.nan) for one in (rewards, values)]
        found = advantage.generalized(*spoilt, mask, gamma=gamma, trace=trace)
        white = np.asarray(advantage.whitened(found, mask))
        paid = advantage.paid(
            jnp.asarray(score), mask, own=jnp.asarray(own), reference=jnp.asarray(reference), toll=0.02
        )
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-9, atol=1e-12)
    known = expected[MASK]
    np.testing.assert_allclose(white[MASK], (known - known.mean()) / np.sqrt(known.var() + 1e-8), rtol=1e-9)
    np.testing.assert_allclose(np.asarray(paid), wanted, rtol=1e-9)


def test_rewards_of_a_group_are_held_against_each_other():
    rewards = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    scaled = np.asarray(advantage.grouped(jnp.asarray(rewards), 3))
    np.testing.assert_allclose(scaled[:3], (rewards[:3] - 1 / 3) / (rewards[:3].std() + 1e-4), rtol=1e-6)
    np.testing.assert_array_equal(scaled[3:], 0)
    plain = advantage.grouped(jnp.asarray(rewards), 3, scaled=False)
    np.testing.assert_allclose(plain, [2 / 3, -1 / 3, -1 / 3, 0, 0, 0], rtol=1e-6)


def test_what_cannot_be_is_said():
    for wrong, words in (
        ({"average": "sentence"}, "must be one of word, answer, length"),
        ({"average": "length"}, "length=0"),
        ({"clip": 0.0}, "clip=0.0 must be above 0"),
    ):
        with pytest.raises(UserError, match=words):
            objectives.Policy(**wrong)
    with pytest.raises(UserError, match="no preference loss; there are dpo, ipo, orpo"):
        objectives.Preference(kind="ppo")
    with pytest.raises(UserError, match="wants target 'advantage', as a rollout gives"):
        loss(objectives.Policy(), FEATURES, KERNEL, SCORES, without=("advantage",))
