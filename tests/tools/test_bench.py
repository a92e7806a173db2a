"""The frame of the benchmarks: figures that say what they are held against, ways that take turns."""

import json

import jax
import pytest

from mmjax import flops
from mmjax.train.prepare import prepare
from tools.bench import __main__ as bench
from tools.bench import figure, host
from tools.bench.accelerator import built
from tools.bench.size import TINY


def test_a_figure_is_a_line_of_json():
    line = json.loads(figure.Figure("save", 1.61234, "copies", 1.5, {"copy_ms": 9}).line())
    assert (line["figure"], line["value"], line["limit"], line["held"]) == ("save", 1.612, 1.5, False)
    assert line["copy_ms"] == 9 and "cores" in line["machine"]
    assert "held" not in json.loads(figure.Figure("step", 3.0, "ms").line())


def test_ways_take_turns():
    order = []
    found = figure.alternated({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, turns=3)
    assert order == ["a", "b"] * 5 and found.keys() == {"a", "b"}


def test_more_arrays_are_more_dispatch(monkeypatch):
    monkeypatch.setattr(host, "TURNS", 20)
    assert 0 < host.dispatch(2) < host.dispatch(300)


def test_a_name_that_there_is_not(capsys):
    assert bench.main(["sleep"]) == 2
    assert "no figures named 'sleep'" in capsys.readouterr().err


@pytest.mark.parametrize("size", TINY.values(), ids=TINY)
def test_models_of_an_accelerator_do_the_work_of_their_size(size):
    """Traced, not compiled: 12 products of width x width for every token and layer, forward and twice backward."""
    ready = prepare(built(size), devices=jax.devices()[:1])
    with jax.set_mesh(ready.mesh):
        counted = flops.of_jaxpr(ready.held.step.trace(ready.held.shapes, ready.schema.example(size.batch)).jaxpr)
    tokens = size.length + (size.picture // size.patch if size.patch else 0) ** 2 + size.frames // 2
    layers = 3 * 2 * size.batch * tokens * size.depth * 12 * size.width**2
    assert layers < counted < 2 * layers
