"""Schedules and rules give the numbers that they promise."""

import numpy as np
import pytest

from mmjax.core import UserError
from mmjax.train import Adafactor, Adam, AdamW, Constant, Cosine, Linear, Lion, Muon, Optim, Sgd


def rates(optim, steps, at):
    rate = optim.rate(steps)
    return [float(rate(i)) for i in at]


def test_warmup_rises_to_the_peak_and_cosine_falls_to_the_end():
    optim = Optim(lr=0.8, warmup=4, schedule=Cosine(end=0.25))
    np.testing.assert_allclose(rates(optim, 104, [0, 1, 2, 3, 4]), [0.2, 0.4, 0.6, 0.8, 0.8], rtol=1e-6)
    np.testing.assert_allclose(rates(optim, 104, [54, 104]), [0.5, 0.2], rtol=1e-5)


def test_constant_and_linear():
    np.testing.assert_allclose(rates(Optim(lr=0.5, schedule=Constant()), 10, [0, 5, 10]), [0.5] * 3)
    np.testing.assert_allclose(rates(Optim(lr=0.5, schedule=Linear()), 10, [0, 5, 10]), [0.5, 0.25, 0.0])


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(UserError, match=r"optim\.warmup=20 is not between 0 and run\.steps=10"):
        Optim(warmup=20).build(10)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Sgd(momentum=0.0), [-0.1, -0.1]),
        (Sgd(momentum=0.9), [-0.1, -0.19]),
        (Sgd(momentum=0.9, nesterov=True), [-0.19, -0.271]),
        (Sgd(momentum=0.0, decay=0.5), [-0.2, -0.2]),
        (Adam(), [-0.1, -0.1]),
        (AdamW(decay=0.5), [-0.2, -0.2]),
        (AdamW(decay=0.5, moments="bfloat16"), [-0.2, -0.2]),
        (AdamW(decay=0.5, moments="int8"), [-0.2, -0.2]),
        (Lion(), [-0.2, -0.2]),
        (Adafactor(decay=0.5), [-0.2, -0.2]),
        (Muon(decay=0.5), [-0.2, -0.2]),
    ],
)
def test_two_steps_of_each_rule(rule, expected):
    optimizer = Optim(lr=0.1, rule=rule, schedule=Constant(), clip=0.0).build(10)
    params, grads = {"kernel": np.full(1, 2.0, np.float32)}, {"kernel": np.ones(1, np.float32)}
    state, seen = optimizer.init(params), []
    for _ in range(2):
        updates, state = optimizer.update(grads, state, params)
        seen.append(float(updates["kernel"][0]))
    np.testing.assert_allclose(seen, expected, rtol=1e-4 if "16" not in str(rule) else 0.01)
