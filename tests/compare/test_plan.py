"""What is trained on what."""

import dataclasses

import numpy as np
import pytest

from mmjax import encoders, fusion, heads, nn, objectives, transforms, views
from mmjax.compare import candidate
from mmjax.compare.plan import plan, split
from mmjax.core import UserError
from mmjax.train import Modulation


def by_name(laid):
    return {entry.name: entry for entry in laid.entries}


def test_a_fusion_that_wants_several_streams_is_late_fusion_of_one(experiment):
    """The first head has no classes: that which is compared by tells the size."""
    main = fusion.Cross(width=8, depth=1, heads=2, main="a")
    model = experiment.model.clone(fusion=main, heads={"other": heads.Regress(), **experiment.model.heads})
    entries = by_name(plan(dataclasses.replace(experiment, model=model), seeds=1))
    assert entries["a alone"].experiment.model.fusion == main
    assert entries["b alone"].experiment.model.fusion == fusion.Late(width=8)


def test_calibration_never_sees_the_rows_that_are_measured(experiment):
    entries = by_name(plan(experiment, seeds=1))
    whole = entries["a alone"].experiment.data.examples
    data, held = (
        entries["a calibrated"].experiment.data.examples,
        entries["a calibrated"].experiment.evaluators["val"].data.examples,
    )
    taught, asked = ({examples.where(i) for i in range(len(examples))} for examples in (data, held))
    assert not taught & asked and taught | asked == {whole.where(i) for i in range(len(whole))}
    assert all(where.startswith("synergy train") for where in asked) and len(asked) == len(whole) // 5


def test_split_is_the_same_each_time():
    first, second = split(range(53)), split(range(53))
    np.testing.assert_array_equal(first[1], second[1])
    assert sorted([*first[0], *first[1]]) == list(range(53)) and len(first[1]) == 53 // 5


def test_split_keeps_groups_together():
    cells = np.random.default_rng(0).choice(list("abcdefghij"), 200)
    taught, asked = split(cells.tolist())
    assert not set(cells[taught]) & set(cells[asked]) and 0 < len(asked) <= 40
    assert not len(split(["one"] * 20)[1])


def test_models_differ_in_their_fusion_alone(experiment):
    laid = plan(experiment, seeds=3, fusions=("joint", "late"))
    entries = by_name(laid)
    assert laid.reference == "bottleneck" and laid.seeds == (3, 4, 5)
    for name in ("bottleneck", "joint", "late"):
        model = entries[name].experiment.model
        assert model.clone(fusion=experiment.model.fusion) == experiment.model
        assert model.fusion.width == 8
        assert dataclasses.replace(entries[name].experiment, model=experiment.model).run == experiment.run
    assert isinstance(entries["joint"].experiment.model.fusion, fusion.Joint)
    assert entries["a alone"].experiment.model.fusion == experiment.model.fusion
    assert list(entries["a alone"].experiment.model.encoders) == ["a"]


def test_a_fusion_of_another_size_is_the_recipe(experiment):
    model = experiment.model.clone(fusion=fusion.Bottleneck(width=8, depth=1, heads=2, bottlenecks=3))
    laid = plan(dataclasses.replace(experiment, model=model), seeds=1, fusions=("bottleneck",))
    assert laid.reference == "recipe" and "bottleneck" in by_name(laid)


def test_training_alone_changes_its_own_modality_alone(experiment):
    augment = (transforms.Jitter("a"), transforms.Scale("b"))
    data = dataclasses.replace(experiment.data, augment=augment)
    entries = by_name(plan(dataclasses.replace(experiment, data=data), seeds=1))
    assert entries["a alone"].experiment.data.augment == augment[:1]
    assert entries["late"].experiment.data.augment == augment
    assert entries["b calibrated"].experiment.data.augment == augment[1:]
    assert entries["b calibrated"].experiment.evaluators["val"].data.augment == ()
    assert entries["a alone"].prepared().schema.inputs.keys() == {"a"}


def test_data_are_read_once(experiment, monkeypatch):
    opened = []
    real = type(experiment.data).open
    monkeypatch.setattr(
        type(experiment.data), "open", lambda self, schema: opened.append(self.split) or real(self, schema)
    )
    for entry in plan(experiment, seeds=1, fusions=("late",)).entries:
        entry.prepared()
    assert sorted(opened) == ["train", "val"]


def test_every_candidate_can_be_built_and_run(experiment):
    import jax

    example = experiment.data.fit().example(2).inputs
    for name in candidate.FUSIONS:
        model = candidate.build(name, experiment.model, "label")
        variables = jax.eval_shape(lambda m=model: m.init(jax.random.key(0), example, train=False))
        out = jax.eval_shape(lambda v, m=model: m.apply(v, example, train=False), variables)
        assert out.heads["label"].shape == (2, 4)


def test_size_is_the_recipes(experiment):
    deep = experiment.model.clone(fusion=fusion.Joint(width=12, depth=3, heads=3, dropout=0.2))
    size = candidate.Size.of(deep, "label")
    assert (size.width, size.depth, size.heads, size.dropout, size.classes) == (12, 3, 3, 0.2, 4)
    late = experiment.model.clone(fusion=fusion.Late(width=12))
    size = candidate.Size.of(late, "label")
    assert (size.width, size.depth, size.heads) == (12, 1, 2)  # heads are those of an encoder
    chain = encoders.Chain(encoders.Sensor(width=20, depth=0, patch=1), nn.Trunk(depth=1, heads=5))
    voting = fusion.Experts(classes=4)
    size = candidate.Size.of(experiment.model.clone(encoders={"a": chain, "b": chain}, fusion=voting), "label")
    assert (size.width, size.heads) == (20, 4)  # those of the front end


def test_dropout_of_what_is_answered_from_goes_from_experts_to_a_head_and_back(experiment):
    voting = {"fusion": fusion.Experts(classes=4, dropout=0.5), "heads": {"label": heads.Vote(classes=4)}}
    late = candidate.build("late", experiment.model.clone(**voting), "label")
    assert late.heads == {"label": heads.Classify(classes=4, dropout=0.5)} and late.fusion.dropout == 0
    assert candidate.build("vote_mean", late, "label") == experiment.model.clone(**voting)


def test_losses_and_views_of_experts_and_of_other_modalities_stay_out_where_they_have_nothing_to_read(experiment):
    voting = {"fusion": fusion.Experts(classes=4), "heads": {"label": heads.Vote(classes=4, apart=True)}}
    losses = experiment.objectives | {"each": objectives.Experts("label")}
    steps = {name: (views.Noise(),) for name in "ab"}
    seen = views.Chain((views.Several(steps, count=1), views.Mixup()))
    changed = dataclasses.replace(experiment, model=experiment.model.clone(**voting), objectives=losses, views=seen)
    entries = by_name(plan(changed, seeds=1, fusions=("late", "vote_mean"), head="label"))
    late, alone = entries["late"].experiment, entries["a alone"].experiment
    assert late.views == seen and late.objectives == experiment.objectives
    assert entries["vote_mean"].experiment.objectives == alone.objectives == losses
    own = {"a": steps["a"]}
    assert alone.views == views.Chain((views.Several(own, count=1), views.Mixup()))
    assert views.FixMatch(steps, steps).only("a") == views.FixMatch(own, own)
    assert alone.model.fusion == voting["fusion"]
    for entry in entries.values():
        entry.prepared()


def test_views_that_do_not_say_what_they_are_of_one_modality_are_told(experiment):
    hidden = dataclasses.replace(experiment, views=views.Hide({}))
    with pytest.raises(UserError, match="Hide does not say what it is then"):
        plan(hidden, seeds=1)


def test_a_head_that_no_other_fusion_can_feed_is_replaced(experiment):
    class Odd(heads.Regress):
        classes: int = 4

    model = experiment.model.clone(heads={"label": Odd()})
    built = candidate.build("late", model, "label")
    assert built.heads["label"] == heads.Classify(classes=4)


def test_classes_are_wanted(experiment):
    answered = dataclasses.replace(experiment, objectives={})
    with pytest.raises(UserError, match="compare wants a head with one class a row"):
        plan(answered, seeds=1)


def test_heads_and_losses_of_other_modalities_stay_out_of_one_alone(experiment):
    of = {name: heads.Classify(classes=4, stream=name) for name in ("a", "b")}
    model = experiment.model.clone(heads={**experiment.model.heads, **of})
    losses = {name: objectives.CrossEntropy("label", head=name, stream=name) for name in of}
    losses = {**experiment.objectives, **losses}
    changed = dataclasses.replace(experiment, model=model, objectives=losses, balance=Modulation())
    entries = by_name(plan(changed, seeds=1, head="label"))
    alone, both = entries["a alone"].experiment, entries["bottleneck"].experiment
    assert set(alone.model.heads) == set(alone.objectives) == {"label", "a"} and alone.balance is None
    assert both.objectives == losses and both.balance == Modulation()
    assert entries["a alone"].prepared() and entries["bottleneck"].prepared()
