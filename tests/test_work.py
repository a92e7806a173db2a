"""No encoder or fusion does more arithmetic than it has to on paper: forward, backward, and with full remat."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen

import descriptors as table
from descriptors import work
from mmjax import flops
from mmjax.core import plain

ROWS = table.ENCODERS + table.FUSIONS


def counted(row, **changes):
    """Operations of the forward pass, and of output and gradients together; nothing is compiled."""
    module = row.module.clone(**changes)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), row.inputs, train=False))

    def loss(variables, inputs):
        return jnp.sum(module.apply(variables, inputs, train=False).values)

    forward = flops.count(loss, variables, row.inputs)
    return forward, flops.count(jax.value_and_grad(loss), variables, row.inputs)


def remade(module):
    """What to change so that all that can computes its layers again: its own, or those of the parts that it holds."""
    inner = {name: part.clone(**remade(part)) for name, part in parts(module) if remade(part)}
    return inner | ({"remat": "recompute"} if hasattr(module, "remat") else {})


def parts(module):
    fields = {name: getattr(module, name) for name in plain.fields(module)}
    return [(name, part) for name, part in fields.items() if isinstance(part, linen.Module)]


def test_every_row_is_counted_on_paper():
    assert work.MULTIPLICATIONS.keys() == {row.name for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_work_is_what_paper_says(row):
    paper = work.operations(row.name)
    forward, both = counted(row)
    assert 0.99 * paper <= forward <= 1.01 * paper
    assert both <= 3 * 1.01 * paper


@pytest.mark.parametrize("row", [row for row in ROWS if remade(row.module)], ids=str)
def test_full_remat_does_a_third_more_at_most(row):
    (_, kept), (_, both) = counted(row), counted(row, **remade(row.module))
    assert kept <= both <= 4 * work.operations(row.name)
