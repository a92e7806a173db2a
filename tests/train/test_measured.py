"""What an evaluator's views show: the same of each row, however often, in whatever batches and wherever it is asked."""

import dataclasses

import jax
import numpy as np
import pytest

import mmjax
from mmjax import Multimodal, datasets, encoders, fusion, heads, metrics, objectives, tokenizers, views
from mmjax.core import UserError
from mmjax.train import Evaluator, Experiment, Optim, Run, evaluate
from mmjax.train.prepare import prepare

WORDS, LENGTH = 12, 8
VIEW = views.MaskedWords(mask=WORDS, words=WORDS, least=2, share=0.4)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    letters = np.random.default_rng(0).choice(list("abcdefghij"), 300)
    path.write_text("".join([*"abcdefghij", *letters]))
    return datasets.Texts(str(path), tokenizers.Characters(), length=LENGTH, batch=16)


def bert(texts, batch=16, **own):
    own = {"metrics": {"masked": metrics.Masked("masked")}, "views": VIEW, **own}
    return Experiment(
        model=Multimodal(
            encoders={"text": encoders.Text(vocabulary=WORDS + 1, width=8, depth=1, heads=2)},
            fusion=fusion.Towers(width=8, bare=("text",), unit=False),
            heads={"masked": heads.Words(WORDS, stream="text")},
        ),
        data=texts,
        objectives={"masked": objectives.CrossEntropy("masked")},
        evaluators={"val": Evaluator(dataclasses.replace(texts, batch=batch), **own)},
        optim=Optim(lr=1e-2, warmup=0),
        run=Run(steps=2, log_every=1, evaluate_every=1),
        views=VIEW,
    )


def measured(experiment, devices=1, seed=0):
    """The rows of an evaluation of new weights."""
    prepared = prepare(experiment, devices=jax.devices()[:devices])
    state = jax.jit(prepared.init, out_shardings=prepared.shardings)(jax.random.key(seed))
    evaluation = prepared.evaluations["val"]
    evaluation({"params": state.params, **state.variables}, intervals=False)
    return next(iter(evaluation.rows.values()))


@pytest.fixture(scope="module")
def one(texts):
    return measured(bert(texts))


def test_a_row_is_seen_as_its_own_number_says(texts, one):
    examples = texts.open(texts.fit())
    key = jax.random.fold_in(jax.random.key(0), mmjax.train.viewed.VIEWED)
    masks = []
    for number in range(len(examples)):
        seen = VIEW(examples.batch([number]), said=None, key=jax.random.fold_in(key, number))
        masks.append(np.asarray(seen.targets["masked"].mask[0]))
    asked = np.stack(masks)
    np.testing.assert_array_equal(one.mask, asked[asked.any(axis=1)])
    assert 0.2 < asked.mean() < 0.6 and len(np.unique(asked, axis=0)) > len(asked) // 2


@pytest.mark.parametrize(("batch", "devices"), [(5, 1), (64, 8)])
def test_batches_and_devices_change_nothing(texts, one, batch, devices):
    other = measured(bert(texts, batch=batch), devices)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.targets, other.targets)
    np.testing.assert_allclose(one.scores[one.mask], other.scores[one.mask], rtol=0, atol=2e-5)


def test_weights_change_nothing_of_what_is_seen_and_another_seed_all(texts, one):
    np.testing.assert_array_equal(measured(bert(texts), seed=1).mask, one.mask)
    other = measured(bert(texts, seed=1))
    assert one.mask.shape != other.mask.shape or np.any(one.mask != other.mask)


def test_a_run_measures_them_and_its_folder_measures_the_same(texts, tmp_path):
    result = mmjax.train(bert(texts), workdir=tmp_path / "run", quiet=True)
    found = result.evaluations["val"]["heads"]["masked"]
    assert found["accuracy"]["low"] <= found["accuracy"]["value"] <= found["accuracy"]["high"]
    assert found["majority"]["answer"] in "abcdefghij"
    again = evaluate(tmp_path / "run", texts)["heads"]["masked"]
    assert again["count"] == found["count"] and again["accuracy"] == found["accuracy"]
    assert again["loss"]["value"] == pytest.approx(found["loss"]["value"], abs=1e-5)


def pictures(**own):
    """A masked autoencoder of which the error on other pictures is measured."""
    view = views.Hide({"image": views.Patches(4)})
    own = {"metrics": {"image": metrics.Reconstruction("image")}, "views": view, **own}
    return Experiment(
        model=Multimodal(
            encoders={"image": encoders.Image(width=8, depth=1, patch=4, convolutions=0)},
            fusion=fusion.Towers(width=8, bare=("image",), unit=False),
            heads={"image": heads.Reconstruct(16, stream="image")},
        ),
        data=datasets.Digits(split="train", batch=16),
        objectives={"image": objectives.Reconstruction("image", normed=False)},
        evaluators={"val": Evaluator(datasets.Digits(split="val", batch=64), **own)},
        run=Run(steps=1),
        views=view,
    )


def test_the_error_of_hidden_patches_is_measured_alike_in_all_batches():
    one = measured(pictures())
    many = dataclasses.replace(pictures().evaluators["val"], data=datasets.Digits(split="val", batch=48))
    other = measured(dataclasses.replace(pictures(), evaluators={"val": many}), devices=4)
    np.testing.assert_array_equal(one.targets, other.targets)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)


def test_what_cannot_be_measured_so_is_told(texts):
    for crossing in (views.Mixup(), views.Chain((VIEW, views.Mixup()))):
        with pytest.raises(UserError, match="makes a row of other rows; an evaluator measures each by itself"):
            prepare(bert(texts, views=crossing))
    with pytest.raises(UserError, match="Several makes several rows of one"):
        prepare(bert(texts, views=views.Several({}, count=2)))
    with pytest.raises(UserError, match=r"evaluators\.val\.metrics\.masked wants target 'masked'; the data has next"):
        prepare(bert(texts, views=None))
    with pytest.raises(UserError, match="no modality 'words'"):
        prepare(bert(texts, views=dataclasses.replace(VIEW, stream="words")))
