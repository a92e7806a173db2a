"""The recipe whose pages are not here: its full size is checked by its shapes, its way by two steps of a small one."""

import dataclasses
import os
from pathlib import Path

import jax
import pytest

import mmjax
from mmjax.cli import recipe
from mmjax.core import trees
from mmjax.data.sources.place import shared
from mmjax.train import state
from tools import sharding

PATH = Path(__file__).parents[1] / "experiments" / "gpt2_openwebtext.py"
TOKENIZER = Path("tokenizers/gpt2.tiktoken")


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The recipe in a place where there are two files of a few pages each."""
    if not (shared() / TOKENIZER).is_file():
        pytest.skip(f"{TOKENIZER} is not under {shared()}; set MMJAX_DATA to the shared recordings")
    monkeypatch.setenv("MMJAX_DATA", os.path.abspath(shared()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openwebtext").mkdir()
    for split, count in (("train", 40), ("val", 8)):
        pages = [f"Page {i} of {split} is about {i % 7} things, among them naïveté." * 4 for i in range(count)]
        (tmp_path / "openwebtext" / f"{split}.txt").write_text("\n<|endoftext|>\n".join(pages), "utf-8")
    return recipe.load(str(PATH)).experiment


def test_it_is_gpt2_and_half_a_million_tokens_a_step(experiment):
    example = experiment.data.fit().example(experiment.data.batch)
    assert example.inputs["text"].values.shape == (480, 1024)
    optimizer = experiment.optim.build(experiment.run.steps)
    shapes = jax.eval_shape(state.make_init(experiment.model, optimizer, example), jax.random.key(0))
    assert trees.count(shapes.params) == 124_439_808


def test_it_lies_on_eight_and_on_64_devices_as_its_golden_says(experiment):
    """MMJAX_DATA with any two such files has ``tools/sharding.py`` write it anew."""
    golden = sharding.GOLDENS / f"{PATH.stem}.txt"
    assert sharding.text(experiment, experiment.data.fit()) == golden.read_text("utf-8")


def test_two_steps_from_the_stored_tokens(experiment, tmp_path):
    model = experiment.model.clone(length=16, width=32, depth=1, heads=2)
    evaluator = dataclasses.replace(
        experiment.evaluators["val"], data=dataclasses.replace(experiment.evaluators["val"].data, length=16, batch=8)
    )
    small = dataclasses.replace(
        experiment,
        model=model,
        data=dataclasses.replace(experiment.data, length=16, batch=8),
        evaluators={"val": evaluator},
        optim=dataclasses.replace(experiment.optim, warmup=0, accumulate=1),
        run=dataclasses.replace(experiment.run, steps=2, log_every=1),
    )
    result = mmjax.train(small, workdir=tmp_path / "run", quiet=True)
    found = result.evaluations["val"]["heads"]["next"]
    assert result.step == 2 and 0 < found["bits_per_byte"]["value"] < 20
    assert {path.name for path in (tmp_path / "openwebtext-tokens").iterdir()} == {"train", "val"}
