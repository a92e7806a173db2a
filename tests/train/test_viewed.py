"""What a step sees is the batch after its views, wherever a model is traced, and however a run is cut."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmjax
from mmjax import Multimodal, datasets, encoders, fusion, heads, objectives, show, views
from mmjax.core import Batch, Signal, UserError
from mmjax.train import Constant, Evaluator, Experiment, Mesh, Optim, Run, Sgd, seeds
from mmjax.train.folder import Folder
from mmjax.train.optim import averaged
from mmjax.train.prepare import prepare
from mmjax.train.state import make_init
from mmjax.train.viewed import seen, through


@dataclasses.dataclass(frozen=True)
class Second:
    """A second, noisy picture under another name, and what the averaged weights say of the first one as a target."""

    scale: float = 0.2

    def __call__(self, batch, *, said, key):
        picture = batch.inputs["image"]
        noisy = views.augment.apply(picture, (views.Noise(self.scale),), key=key)
        heard = said({"image": picture}).heads["label"]
        told = Signal(jnp.argmax(heard, axis=1).astype(jnp.int32), jnp.ones(len(heard), bool))
        return Batch({**batch.inputs, "again": noisy}, {**batch.targets, "heard": told})


MODEL = Multimodal(
    encoders={name: encoders.Image(width=8, depth=0, patch=4, convolutions=0) for name in ("image", "again")},
    fusion=fusion.Late(width=8),
    heads={"label": heads.Classify(classes=10)},
)
OPTIM = Optim(rule=Sgd(), lr=0.1, schedule=Constant(), clip=0.5, average=0.9)


def experiment(**changes):
    """The smallest run with a second picture in every step, whose encoder no data names."""
    own = {
        "model": MODEL,
        "data": datasets.Digits(split="train", batch=16),
        "objectives": {
            "label": objectives.CrossEntropy("label"),
            "heard": objectives.CrossEntropy("heard", head="label", weight=0.5),
        },
        "evaluators": {"val": Evaluator(datasets.Digits(split="val", batch=64))},
        "optim": OPTIM,
        "run": Run(steps=3, log_every=1),
        "views": Second(),
    }
    return Experiment(**{**own, **changes})


@pytest.fixture(scope="module")
def trained():
    return mmjax.train(experiment(), quiet=True)


def weights(experiment, devices):
    """What a run without evaluations comes to on so many devices."""
    return jax.device_get(seeds.train(prepare(experiment, devices=jax.devices()[:devices]), [0]).weights[0])


def same(one, other, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), one, other)


def test_what_views_add_has_its_parameters_and_evaluation_sees_none(trained):
    assert "encoders_again" in trained.weights["params"]
    found = trained.evaluations["val"]["heads"]
    assert set(found) == {"label"} and 0 <= found["label"]["accuracy"]["value"] <= 1


def test_it_is_shown_and_counted():
    schema = experiment().data.fit()
    several = experiment(views=views.Chain((Second(), views.Several({}, count=2))))
    found, double = show.facts(experiment(), schema), show.facts(several, schema)
    assert "encoders_again" in found["parameters"]["parts"]
    assert found["flops"]["step"] < double["flops"]["step"]


def test_a_run_goes_on_bit_for_bit(trained, tmp_path):
    first = experiment(run=Run(steps=2, log_every=1))
    mmjax.train(first, workdir=tmp_path / "run", quiet=True)
    gone_on = mmjax.train(experiment(), workdir=tmp_path / "run", quiet=True)
    same(gone_on.weights, trained.weights, rtol=0, atol=0)
    folder = Folder(tmp_path / "run", (Second,))
    assert folder.experiment().views == Second()
    same(folder.weights(Mesh().build())["params"], trained.weights["params"], rtol=0, atol=0)


def test_seeds_side_by_side_see_views_of_their_own(trained):
    found = seeds.train(prepare(experiment()), [0, 1], together=True)
    same(found.weights[0], trained.weights, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "kind, devices, pieces, mesh", [("second", 8, 1, Mesh(data=4, fsdp=2, fsdp_size=64)), ("several", 4, 2, Mesh())]
)
def test_devices_and_pieces_change_nothing(kind, devices, pieces, mesh):
    made = experiment(run=Run(steps=2))
    if kind == "several":
        made = experiment(
            run=Run(steps=2),
            views=views.Several({"image": (views.Shift(1),)}),
            model=MODEL.clone(encoders={"image": MODEL.encoders["image"]}),
            objectives={"label": objectives.CrossEntropy("label")},
        )
    optim = dataclasses.replace(OPTIM, accumulate=pieces)
    spread = weights(dataclasses.replace(made, mesh=mesh, optim=optim), devices)
    same(spread, weights(made, 1), rtol=0, atol=2e-5)


def test_views_ask_the_average_and_draw_anew_each_step():
    viewed = experiment()
    example = viewed.data.fit().example(4)
    optimizer = OPTIM.build(5)
    state = make_init(viewed.model, optimizer, seen(viewed.views, viewed.model, example))(jax.random.key(0))
    asked = []

    def view(batch, *, said, key):
        asked.append((said.variables["params"], jax.random.key_data(key).tolist()))
        return batch

    state = state.replace(opt_state=jax.tree.map(lambda leaf: leaf + 1, state.opt_state))
    for step in (0, 1, 1):
        through(view, viewed.model, state.replace(step=step), example, lambda tree: tree)
    same(asked[0][0], averaged(state.params, state.opt_state), rtol=0, atol=0)
    assert asked[0][1] != asked[1][1] == asked[2][1]


def test_names_that_nobody_makes_are_told():
    with pytest.raises(UserError, match=r"model\.encoders has 'again', but the data gives only"):
        prepare(experiment(views=None))
    with pytest.raises(UserError, match=r"objectives\.lost wants target 'lost'; the data has heard, label"):
        prepare(experiment(objectives={"lost": objectives.CrossEntropy("lost")}))
    with pytest.raises(UserError, match="there is no modality 'smell'; there are image"):
        prepare(experiment(views=views.Several({"smell": ()})))
