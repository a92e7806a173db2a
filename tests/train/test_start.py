"""A run that begins with what another one learned, as far as it fits."""

import dataclasses

import jax
import numpy as np
import pytest

import mmjax
from mmjax import datasets, decoders, encoders, fields, fusion, objectives
from mmjax.core import UserError, trees
from mmjax.train import Experiment, Optim, Run
from mmjax.train.prepare import prepare

PROMPT = fields.Prompt("{sum}", length=2, reply=1)
SUMS = {"inputs": {"text": PROMPT}, "targets": {"next": fields.Reply(PROMPT)}}
FIRST = Experiment(
    model=decoders.GPT(vocabulary=22, length=3, width=8, depth=1, heads=2),
    data=datasets.Sums(batch=8, **SUMS),
    objectives={"next": objectives.CrossEntropy("next")},
    optim=Optim(lr=1e-2, average=0.9),
    run=Run(steps=2),
)
STILL = Optim(lr=0.0)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "run"
    return folder, mmjax.train(FIRST, workdir=folder, quiet=True).weights["params"]


def test_what_fits_is_taken_wherever_it_stands(first):
    folder, weights = first
    second = dataclasses.replace(
        FIRST, model=decoders.Valued(FIRST.model), optim=STILL, init_from=str(folder), run=Run(steps=1, seed=5)
    )
    notes = prepare(second).notes
    assert notes[0] == f"init_from {folder}: {len(jax.tree.leaves(weights))} tensors taken, 2 new, 0 left"
    assert notes[1:3] == ["  new: worth/bias", "  new: worth/kernel"]
    assert "  taken: decoder/embed/embedding from embed/embedding" in notes
    found = mmjax.train(second, quiet=True).weights["params"]
    jax.tree.map(np.testing.assert_array_equal, found["decoder"], weights)


def test_what_does_not_fit_is_left(first, tmp_path):
    folder, weights = first
    wider = FIRST.model.clone(length=4)
    second = dataclasses.replace(FIRST, model=wider, optim=STILL, init_from=str(folder), run=Run(steps=1, seed=5))
    told = ["  new: position/embedding of shape (4, 8), which is (3, 8) there", "  left: position/embedding"]
    assert prepare(second).notes[1:3] == told
    found, old = (trees.flatten(each) for each in (mmjax.train(second, quiet=True).weights["params"], weights))
    for path in set(old) - {"position/embedding"}:
        np.testing.assert_array_equal(found[path], old[path], err_msg=path)
    with pytest.raises(UserError, match="is not a run folder"):
        prepare(dataclasses.replace(second, init_from=str(tmp_path)))
    with pytest.raises(UserError, match=r"^init_from: .*/nowhere does not exist; train the run that leaves it first"):
        prepare(dataclasses.replace(second, init_from=str(tmp_path / "nowhere")))
    other = FIRST.model.clone(width=16)
    with pytest.raises(UserError, match=r"no tensor of .* fits the model"):
        prepare(dataclasses.replace(second, model=other))


def test_what_norms_have_seen_is_taken_with_their_parameters(tiny, tmp_path):
    model = tiny().model.clone(
        encoders={"image": encoders.ResNet(channels=4, stages=(1,), bottleneck=False, small=True)}, fusion=fusion.Late()
    )
    one = dataclasses.replace(tiny(run={"steps": 2}, optim={"average": 0.0}), model=model, evaluators={})
    seen = mmjax.train(one, workdir=tmp_path / "one", quiet=True).weights
    second = dataclasses.replace(
        one, optim=dataclasses.replace(one.optim, frozen=("^encoders_",)), init_from=str(tmp_path / "one")
    )
    paths = [*trees.flatten(seen["params"]), *(f"batch_stats/{path}" for path in trees.flatten(seen["batch_stats"]))]
    notes = prepare(second).notes
    assert notes[0].endswith(f": {len(paths)} tensors taken, 0 new, 0 left")
    assert notes[1 : len(paths) + 1] == [f"  taken: {path}" for path in paths]  # tensor by tensor
    kept = mmjax.train(second, quiet=True).weights["batch_stats"]
    jax.tree.map(np.testing.assert_array_equal, kept, seen["batch_stats"])
    assert all(np.any(leaf != (path.endswith("var"))) for path, leaf in trees.flatten(kept).items())
    some = dataclasses.replace(second, init_only=("^encoders_image/norm/",))
    told = prepare(some).notes
    taken = sorted(line for line in told if line.startswith("  taken: batch_stats/"))
    assert taken == [f"  taken: batch_stats/encoders_image/norm/{name}" for name in ("mean", "var")]


def test_a_part_of_the_tree_is_taken_alone(first):
    folder, weights = first
    second = dataclasses.replace(
        FIRST, optim=STILL, init_from=str(folder), init_only=("^trunk/", "^position/"), run=Run(steps=1, seed=5)
    )
    notes = prepare(second).notes
    assert "  new: embed/embedding" in notes and "  left: embed/embedding" in notes
    found = mmjax.train(second, quiet=True).weights["params"]
    for name in ("trunk", "position"):
        jax.tree.map(np.testing.assert_array_equal, found[name], weights[name])
    assert np.any(found["embed"]["embedding"] != weights["embed"]["embedding"])
    for wrong, told in (
        ({"init_only": ("^trunks/",)}, r"init_only: '\^trunks/' is found in no parameter's path"),
        ({"init_only": ("(",)}, r"init_only: '\(' is no regular expression"),
        ({"init_from": ""}, "is of what init_from names, which is nothing"),
    ):
        with pytest.raises(UserError, match=told):
            prepare(dataclasses.replace(second, **wrong))


def test_an_untrained_run_keeps_the_weights_that_it_began_with(tiny):
    experiment = tiny(run={"seed": 3}, optim={"average": 0.0}).untrained()
    begun = jax.jit(prepare(experiment).init)(jax.random.key(3))
    weights = mmjax.train(experiment, quiet=True).weights
    jax.tree.map(np.testing.assert_array_equal, weights["params"], begun.params)
