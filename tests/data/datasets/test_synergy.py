"""What is said to be possible is what enumeration finds, and what a classifier that knows the rules comes to."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from mmjax import datasets
from mmjax.core import UserError

DIALS = [
    {},
    {"noise": 0.3},
    {"classes": 2, "redundancy": 0.0, "uniqueness": (0.0, 0.0), "synergy": 1.0},
    {"classes": 2, "redundancy": 0.5, "uniqueness": (0.1, 0.3), "synergy": 0.1, "noise": 0.5},
    {"classes": 3, "redundancy": 0.0, "uniqueness": (0.6, 0.0), "synergy": 0.4, "noise": 1.0},
]


def joint(data):
    """p(a, b, answer) over what can be seen: which step of each modality has which symbol."""
    k, shares = data.classes, data._shares
    heard = {(t, s): (1 - data.noise) * (t == s) + data.noise / k for t in range(k) for s in range(k)}
    found = defaultdict(float)
    for y, s, u, z in itertools.product(range(k), repeat=4):  # s, u: as seen in a and b; z: the addend
        each = 1 / k
        if z == 0:
            found[("both", s), ("both", u), y] += each * shares[0] * heard[y, s] * heard[y, u]
            if u == 0:
                found[("own", s), (), y] += each * shares[1] * heard[y, s]
                found[(), ("own", s), y] += each * shares[2] * heard[y, s]
            if s == u == 0:
                found[(), (), y] += each * shares[4]
        found[("sum", s), ("sum", u), y] += each / k * shares[3] * heard[z, s] * heard[(y - z) % k, u]
    assert sum(found.values()) == pytest.approx(1)
    return found


def accuracy(table, k, seen, guess):
    """Of the best guess by what is seen; ties are drawn."""
    grouped, total = defaultdict(lambda: np.zeros(k)), 0.0
    for (a, b, y), p in table.items():
        grouped[seen(a, b)][y] += p
    for key, p in grouped.items():
        score = guess(key, p)
        total += p[np.isclose(score, score.max(), rtol=1e-9, atol=0)].mean()
    return total


@pytest.mark.parametrize("dials", DIALS, ids=str)
def test_optimum_is_that_of_enumeration(dials):
    data = datasets.Synergy(**dials)
    table, k = joint(data), data.classes
    posteriors = [defaultdict(lambda: np.zeros(k)) for _ in range(2)]
    for (*parts, y), p in table.items():
        for known, part in zip(posteriors, parts, strict=True):
            known[part][y] += p
    product = {
        (a, b): posteriors[0][a] / posteriors[0][a].sum() * posteriors[1][b] / posteriors[1][b].sum() * k
        for a, b, _ in table
        if posteriors[0][a].sum() > 0 and posteriors[1][b].sum() > 0
    }
    table = {key: p for key, p in table.items() if p > 0}
    found = {
        "a": accuracy(table, k, lambda a, b: a, lambda key, p: p),
        "b": accuracy(table, k, lambda a, b: b, lambda key, p: p),
        "a+b": accuracy(table, k, lambda a, b: (a, b), lambda key, p: p),
        "product of experts": accuracy(table, k, lambda a, b: (a, b), lambda key, p: product[key]),
    }
    assert found == pytest.approx(data.optimal())


@pytest.mark.parametrize("dials", DIALS, ids=str)
def test_rows_are_drawn_as_told(dials):
    """A reader that knows the rules is as accurate on the rows as it can be."""
    data = datasets.Synergy(rows=20_000, **dials)
    examples = data.open(data.fit())
    batch = examples.batch(np.arange(len(examples)))
    a, b = (np.asarray(batch.inputs[name].values) for name in "ab")
    answers = batch.targets["label"].values
    told = [np.where(signal.max(axis=2) > 0.5, signal.argmax(axis=2), -1) for signal in (a, b)]
    k, rng = data.classes, np.random.default_rng(0)
    guess = rng.integers(0, k, len(answers))
    for read in told:
        guess = np.where(read[:, 1] >= 0, read[:, 1], np.where(read[:, 0] >= 0, read[:, 0], guess))
    alone = guess.copy()
    guess = np.where(told[0][:, 2] >= 0, (told[0][:, 2] + told[1][:, 2]) % k, guess)
    optimal = data.optimal()
    for said, expected in ((guess, optimal["a+b"]), (alone, optimal["product of experts"])):
        assert np.mean(said == answers) == pytest.approx(expected, abs=0.012)
    assert np.bincount(answers, minlength=k) / len(answers) == pytest.approx([1 / k] * k, abs=0.015)


def test_same_rows_each_time_and_others_in_each_split():
    rows = [datasets.Synergy(split=split, rows=50).source().rows[3].cells["a"] for split in ("val", "val", "test")]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"split": "dev"}, "split is 'dev'"),
        ({"synergy": 0.7}, "together at most 1"),
        ({"redundancy": -0.1}, "must be 0 or more"),
        ({"noise": 1.5}, "noise=1.5"),
        ({"classes": 1}, "classes=1"),
    ],
)
def test_wrong_dials_are_told(wrong, told):
    with pytest.raises(UserError, match=told):
        datasets.Synergy(**wrong)
