"""Packed rows through whole models: nothing of an example reaches its neighbours, and a run trains on them."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmjax
from mmjax import Multimodal, datasets, encoders, fields, fusion, heads, objectives
from mmjax.core import UserError
from mmjax.core.rows import alone
from mmjax.data import pipeline
from mmjax.data.order import Drawn
from mmjax.train import Evaluator, Experiment, Optim, Run

SMALL = {"width": 8, "depth": 1, "heads": 2}
MOST = 4
LENGTH = {"text": 12, "sound": 640, "log": 16, "image": 12}
ROWS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts, sounds, logs and pictures of uneven length."""
    import PIL.Image
    import soundfile

    folder = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(ROWS):
        PIL.Image.fromarray(rng.integers(0, 256, rng.integers(3, 9, 2), np.uint8)).save(folder / f"{i}.png")
        soundfile.write(folder / f"{i}.wav", rng.uniform(-1, 1, rng.integers(30, 160)), 1000)
        np.save(folder / f"{i}.npy", rng.normal(size=(rng.integers(1, 5), 2)))
        text = " ".join(rng.choice(["one", "two", "six"], rng.integers(1, 4)))
        lines.append({"text": text, "sound": f"{i}.wav", "log": f"{i}.npy", "image": f"{i}.png", "label": i % 2})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def data(folder, **options):
    inputs = {
        "text": fields.Text(),
        "sound": fields.Audio(rate=1000),
        "log": fields.Sensor(),
        "image": fields.Patches(patch=3, most=4),
    }
    inner = datasets.Manifest(str(folder / "rows.jsonl"), label="label", inputs=inputs)
    options = {"align": {"sound": 40, "log": 2}, "batch": 8} | options
    return datasets.Packed(inner, LENGTH, most=MOST, **options)


def model(fused):
    parts = {
        "text": encoders.Text(vocabulary=8, **SMALL),
        "sound": encoders.Audio(rate=1000, mels=6, window=0.032, convolutions=2, channels=4, **SMALL),
        "log": encoders.Sensor(patch=2, **SMALL),
        "image": encoders.Image(patch=3, convolutions=0, **SMALL),
    }
    return Multimodal(parts, fused, {"label": heads.Classify(2, segments=MOST)})


FUSED = {"late": fusion.Late(width=8, segments=MOST), "joint": fusion.Joint(**SMALL)}


@pytest.mark.parametrize("kind", FUSED)
def test_nothing_of_an_example_reaches_its_neighbours(folder, kind):
    packed = data(folder)
    examples = packed.open(packed.fit())
    rows = range(MOST)
    batch = examples.at(Drawn(np.array([*range(MOST), 0, *range(2, MOST + 1)]), np.array([MOST, MOST])))
    module = model(FUSED[kind])
    variables = jax.jit(lambda: module.init(jax.random.key(0), batch.inputs, train=False))()
    run = jax.jit(lambda inputs: module.apply(variables, inputs, train=False).heads)
    answers = run(batch.inputs)["label"]
    np.testing.assert_array_equal(answers[0, 0], answers[1, 0])  # bit for bit, whatever stands beside it
    poisoned = jax.tree.map(jnp.asarray, batch.inputs)
    for name, signal in poisoned.items():
        if name != "text":
            other = (signal.segments > 1).reshape(*signal.segments.shape, *(1,) * (signal.values.ndim - 2))
            poisoned[name] = signal.replace(values=jnp.where(other, signal.values * 1e3 + 7, signal.values))
    np.testing.assert_array_equal(run(poisoned)["label"][:, 0], answers[:, 0])
    assert np.abs(run(poisoned)["label"][:, 1:] - answers[:, 1:]).max() > 1e-3
    single = jax.jit(lambda inputs: alone(module.apply(variables, inputs, train=False).heads))
    lonely = single(examples.batch(list(rows)).inputs)["label"]
    np.testing.assert_allclose(answers[0], lonely, rtol=1e-4, atol=1e-5)


def experiment(folder, **options):
    packed = data(folder, **options)
    return Experiment(
        model=model(fusion.Late(width=8, segments=MOST)),
        data=packed,
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(packed.data)},
        optim=Optim(lr=1e-2),
        run=Run(steps=3),
    )


def test_a_run_trains_on_packed_rows_and_answers_for_single_ones(folder, tmp_path):
    result = mmjax.train(experiment(folder), workdir=str(tmp_path / "run"), quiet=True)
    measured = result.evaluations["val"]
    assert measured["count"] == ROWS and measured["heads"]["label"]["count"] == ROWS
    records = list(mmjax.predict.Predictor.load(tmp_path / "run")(str(folder / "rows.jsonl")))
    assert len(records) == ROWS and all(record["heads"]["label"]["value"] in "01" for record in records)


def test_what_does_not_fit_packed_rows_is_said_before_the_first_step(folder):
    with pytest.raises(UserError, match=r"^model.encoders.sound makes one token of 40 units, but .* multiples of 20"):
        mmjax.train(experiment(folder, align={"sound": 20, "log": 2}), quiet=True)
    whole = experiment(folder)
    late = dataclasses.replace(whole, model=whole.model.clone(fusion=fusion.Late(width=8)))
    with pytest.raises(UserError, match="these rows are packed: set segments="):
        mmjax.train(late, quiet=True)
    refusing = dict(whole.model.encoders) | {"sound": encoders.Spectrogram(rate=1000, depth=0)}
    with pytest.raises(UserError, match="Spectrogram"):
        mmjax.train(dataclasses.replace(whole, model=whole.model.clone(encoders=refusing)), quiet=True)
    losses = {"label": objectives.CrossEntropy("label"), "layers": objectives.CrossEntropy("label")}
    with pytest.raises(UserError, match="'layers' is what layers want small themselves"):
        mmjax.train(dataclasses.replace(whole, objectives=losses), quiet=True)


def test_one_compilation_for_every_batch(folder):
    packed = data(folder)
    compiled = []

    @jax.jit
    def step(inputs):
        compiled.append(1)
        return jax.tree.map(jnp.sum, inputs)

    stream = pipeline.stream(packed.open(packed.fit()), batch=2, seed=0)
    for _ in range(10):
        step(next(stream).inputs)
    assert len(compiled) == 1
