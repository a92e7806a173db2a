"""Pictures that a step scales: the host leaves them as they were decoded, and the step sees what it would have."""

import dataclasses

import jax
import numpy as np
import pytest

import mmjax
from mmjax import Multimodal, datasets, encoders, fields, fusion, heads, objectives
from mmjax.core import Batch, UserError
from mmjax.data import pipeline
from mmjax.train import Evaluator, Experiment, Optim, Run, pixel
from mmjax.train.prepare import prepare

ROWS = 16


def arrays(kind=np.uint8, **changes):
    """Pictures, every fourth of them black; their label is whether they are bright."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (ROWS, 6, 6, 3)).astype(np.uint8)
    inputs = {"image": fields.Image(size=6, **changes)}
    held = {"image": pictures.astype(kind), "label": np.arange(ROWS) % 2}
    return datasets.Arrays.of(held, label="label", inputs=inputs)


def experiment(data, **changes):
    model = Multimodal(
        encoders={"image": encoders.Image(width=4, depth=0, patch=3, convolutions=0)},
        fusion=fusion.Late(width=4),
        heads={"label": heads.Classify(classes=2)},
    )
    options = {"objectives": {"label": objectives.CrossEntropy("label")}, "optim": Optim(lr=1e-2, warmup=1)}
    data = dataclasses.replace(data, batch=8)
    return Experiment(**{"model": model, "data": data, "run": Run(steps=2), **options, **changes})


def first(examples):
    return next(pipeline.stream(examples, batch=8, seed=0))


def test_a_step_scales_what_the_host_left_as_it_was():
    data = arrays()
    p, schema = prepare(experiment(data)), data.fit()
    late, early = first(p.examples), first(data.open(schema))
    assert late.inputs["image"].values.dtype == np.uint8 and early.inputs["image"].values.dtype == np.float32
    done = p.examples.schema.done(late)
    jax.tree.map(np.testing.assert_array_equal, done, early)
    jax.tree.map(np.testing.assert_array_equal, schema.done(early), early)  # of which nothing was left
    state = jax.jit(p.init)(jax.random.key(0))
    one, said = jax.jit(p.function)(state, late)
    other, told = jax.jit(p.function)(state, early)
    np.testing.assert_allclose(said["loss"], told["loss"], rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one.params, other.params)


def test_what_is_absent_is_0_after_scaling():
    schema = arrays().fit()
    seen = []
    step = pixel.scaled(lambda state, batch: seen.append(batch), schema)
    field = schema.late().inputs["image"]
    signal = field.batch([None, np.full((6, 6, 3), 200, np.uint8)])
    batch = schema.example(2).replace(inputs={"image": signal})
    step(None, batch)
    values = np.asarray(seen[0].inputs["image"].values)
    assert not values[0].any()
    np.testing.assert_allclose(values, field.done(signal).values, rtol=1e-6)


@pytest.mark.parametrize(
    "data", [arrays(np.float32), arrays(mean=(), std=()), datasets.Mixture({"a": arrays(np.float32), "b": arrays()})]
)
def test_other_numbers_are_scaled_by_the_host_or_not_at_all(data):
    p = prepare(experiment(data))
    batch = p.examples.batch(np.arange(len(p.examples)))
    jax.tree.map(np.testing.assert_array_equal, batch, data.open(p.schema).batch(np.arange(len(p.examples))))


def test_a_mixture_of_both_kinds_is_scaled_once():
    """Its first rows are of 8 bits, so the others were not foreseen."""
    data = datasets.Mixture({"a": arrays(mean=(99.0,) * 3, std=(50.0,) * 3), "b": arrays(np.float32)})
    schema = data.fit()
    examples = pixel.opened(data, schema)
    rows = [0, 1, ROWS, ROWS + 1]
    np.testing.assert_array_equal(
        examples.batch(rows).inputs["image"].values, data.open(schema).batch(rows).inputs["image"].values
    )
    assert examples.batch(rows[:2]).inputs["image"].values.dtype == np.uint8


def test_a_run_trains_on_what_comes_as_it_was_and_evaluates_as_ever(tmp_path):
    data = arrays()
    run = experiment(data, evaluators={"val": Evaluator(data)})
    result = mmjax.train(run, workdir=tmp_path / "run", quiet=True)
    assert result.schema == data.fit() and not result.schema.inputs["image"].late
    assert result.evaluations["val"]["count"] == ROWS


def test_numbers_of_another_kind_are_no_batch_of_several_processes(monkeypatch):
    schema = arrays().fit().late()
    field = schema.inputs["image"]
    pictures = [np.zeros((6, 6, 3), np.uint8), np.zeros((6, 6, 3), np.float32)]
    same, other = (Batch({"image": field.batch([picture])}, {}) for picture in pictures)
    assert pixel.alike(other, schema) is other
    monkeypatch.setattr("jax.process_count", lambda: 2)
    assert pixel.alike(same, schema) is same
    with pytest.raises(UserError, match="image: some pictures are pixels of 8 bits and some are other numbers"):
        pixel.alike(other, schema)
