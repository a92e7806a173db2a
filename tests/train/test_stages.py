"""LLaVA's two stages: first the projector alone learns, then the decoder with it; the tower never does."""

import dataclasses

import jax
import numpy as np
import PIL.Image
import pytest

import mmjax
from mmjax import Experiment, datasets, decoders, encoders, fields, objectives
from mmjax.core import trees
from mmjax.train import Adam, Constant, Optim, Run
from mmjax.train.prepare import prepare

TINY = {"width": 8, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The first stage of a model that tells bright pictures from dark ones."""
    path = tmp_path_factory.mktemp("seen")
    lines = ["image,question,answer"]
    for i in range(8):
        PIL.Image.fromarray(np.full((4, 4), 30 + 190 * (i % 2), np.uint8)).save(path / f"{i}.png")
        lines.append(f"{i}.png,how is it,{('dark', 'bright')[i % 2]}")
    (path / "rows.csv").write_text("\n".join(lines))
    prompt = fields.Prompt("<image>{question}?", places={"image": 4}, length=8, reply=2)
    return Experiment(
        model=decoders.Talker(
            encoders={"image": encoders.Image(**TINY, patch=2, convolutions=0)},
            bridges={"image": decoders.Projector(8)},
            decoder=decoders.GPT(vocabulary=12, length=12, **TINY),
        ),
        data=datasets.Manifest(
            str(path / "rows.csv"),
            inputs={"image": fields.Image(size=4, channels=1), "text": prompt},
            targets={"next": fields.Reply(prompt)},
            batch=8,
        ),
        objectives={"next": objectives.CrossEntropy("next")},
        optim=Optim(lr=3e-2, rule=Adam(), schedule=Constant(), frozen=("^(encoders_image|decoder)/",)),
        run=Run(steps=10, log_every=10),
    )


def moved(before, after):
    """The first names of the parameters that are others now."""
    old, new = trees.flatten(before), trees.flatten(after)
    assert old.keys() == new.keys()
    return {path.split("/")[0] for path in old if not np.array_equal(old[path], new[path])}


def test_what_learns_in_each_of_two_stages(first, tmp_path):
    begun = jax.jit(prepare(first).init)(jax.random.key(first.run.seed)).params
    one = mmjax.train(first, workdir=tmp_path / "first", quiet=True).weights["params"]
    assert moved(begun, one) == {"bridges_image"}

    second = dataclasses.replace(
        first, init_from=str(tmp_path / "first"), optim=dataclasses.replace(first.optim, frozen=("^encoders_image/",))
    )
    assert not prepare(second).taken.new
    two = mmjax.train(second, workdir=tmp_path / "second", quiet=True).weights["params"]
    assert moved(one, two) == {"bridges_image", "decoder"}
    assert moved(begun, two) == {"bridges_image", "decoder"}


def test_the_decoder_is_no_longer_paid_for(first):
    """Of the decoder's step no gradient of a kernel is left: the first stage keeps a projector's moments alone."""
    kept = trees.flatten(prepare(first).shapes.opt_state)
    arrays = [path for path, leaf in kept.items() if leaf.ndim]
    assert arrays and all("bridges_image" in path for path in arrays)
