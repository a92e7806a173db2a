"""What an experiment costs, against figures counted by hand."""

import io
import json
import types

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from mmjax import Experiment, datasets, decoders, fields, generate, objectives, show
from mmjax.core import Mean, Outputs, Signal, Tokens, UserError
from mmjax.data.schema import Schema
from mmjax.train import Mesh, Optim, Quantized, Run, Sgd


class Net(nn.Module):
    """Two layers over numbers: 6 -> 8 -> 2."""

    @nn.compact
    def __call__(self, inputs, *, train):
        values = nn.Dense(8, name="trunk")(inputs["x"].values)
        answer = nn.Dense(2, name="head")(jnp.tanh(values))
        fused = Tokens(values[:, None], jnp.ones((len(values), 1), bool))
        return Outputs(streams={}, fused=fused, heads={"y": answer})


class Field:
    """A field of fixed shape."""

    kind, columns = "table", ("a", "b")

    def __init__(self, *shape):
        self.shape = shape

    def describe(self):
        return "numbers"

    def batch(self, examples):
        shape = (len(examples), *self.shape)
        return Signal(np.zeros(shape, np.float32), np.zeros(shape, bool))


class Squares:
    """The squared error of ``y``."""

    target, head, weight = "y", None, 1.0

    def __call__(self, outputs, batch):
        return Mean.of(jnp.square(outputs.heads["y"] - batch.targets["y"].values), batch.targets["y"].mask)


SCHEMA = Schema(inputs={"x": Field(6)}, targets={"y": Field(2)})


@pytest.fixture
def facts():
    def make(mesh=Mesh(data=8), rule=Sgd(momentum=0.9), batch=16, **fields):
        experiment = Experiment(
            model=Net(),
            data=types.SimpleNamespace(batch=batch),
            objectives={"y": Squares()},
            optim=Optim(rule=rule, clip=0.0),
            run=Run(steps=10),
            mesh=mesh,
            **fields,
        )
        return show.facts(experiment, SCHEMA)

    return make


def test_parameters_by_part(facts):
    assert facts()["parameters"] == {"total": 6 * 8 + 8 + 8 * 2 + 2, "parts": {"trunk": 56, "head": 18}}


def test_flops_by_part(facts):
    found = facts()["flops"]
    assert found["parts"] == {"trunk": 2 * 6 * 8, "head": 2 * 8 * 2}
    assert found["forward"] == 128
    # Backward: both kernels' gradients, and the second layer's input's.
    assert found["step"] == 128 + 96 + 2 * 32


def test_a_step_learns_from_all_answers_of_a_rollout():
    prompt = fields.Prompt("{sum}", length=2, reply=1)
    data = datasets.Sums(batch=8, inputs={"text": prompt}, targets={"next": fields.Reply(prompt)})
    model = decoders.GPT(vocabulary=22, length=3, width=8, depth=1, heads=2)

    def step(group):
        rollout = generate.Rollout(generate.reward.Exact(), group=group)
        experiment = Experiment(model, data, {"policy": objectives.Policy()}, rollout=rollout)
        return show.facts(experiment, data.fit())["flops"]["step"]

    assert step(6) == 3 * step(2)


def test_memory_of_one_device(facts):
    found = facts()["memory"]
    assert found["parameters"] == 74 * 4
    assert 74 * 4 <= found["optimizer"] <= 74 * 4 + 16  # momentum and a counter
    # Two rows a device: 6 + 2 numbers and as many mask bytes each.
    assert found["batch"] == 2 * 8 * (4 + 1)


def test_split_parameters_take_less_on_each_device(facts):
    found = facts(mesh=Mesh(data=2, fsdp=4, fsdp_size=4))
    assert found["mesh"] == {"data": 2, "pipe": 1, "fsdp": 4, "expert": 1, "context": 1, "tensor": 1}
    assert found["shardings"]["trunk/kernel"] == {"shape": [6, 8], "spec": [None, "fsdp"], "bytes": 6 * 8 * 4 // 4}
    assert found["shardings"]["head/bias"]["bytes"] == 8
    assert found["memory"]["parameters"] == (48 // 4 + 8 + 16 // 4 + 2) * 4


def test_it_can_be_read(facts):
    found = facts(mesh=Mesh(data=2, fsdp=4, fsdp_size=4))
    json.dumps(found, allow_nan=False)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(show.table(found))
    text = console.export_text()
    for word in ("trunk", "head", "76%", "74", "trunk/kernel", "-, fsdp", "numbers"):
        assert word in text
    console.print(show.table(facts()))
    assert "every device holds all parameters" in console.export_text()


@pytest.mark.parametrize(
    "value, told", [(0, "0"), (999, "999"), (1234, "1.23k"), (5.6e6, "5.6M"), (7.89e9, "7.89G"), (2e13, "20T")]
)
def test_numbers_are_short(value, told):
    assert show.number(value) == told


def test_what_is_rounded_is_shown_and_a_pattern_that_finds_nothing_refused(facts):
    notes = facts(quantized=Quantized(forward="int8", where=("trunk",)))["notes"]
    assert "quantized: 1 of 2 layers with a kernel multiply in int8" in notes
    with pytest.raises(UserError, match="'quarry' is found in no layer with a kernel; there are head, trunk"):
        facts(quantized=Quantized(forward="int8", where=("quarry",)))
