"""Mixtures: exact shares, every example of a part once an epoch, the same stream for any number of processes."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from mmjax import datasets, fields, transforms
from mmjax.core import UserError
from mmjax.data import order, pipeline, records

SIZES = {"seen": 30, "told": 50}
AUGMENT = (transforms.DropTokens("text", 0.5),)


def part(name, first, **columns):
    count = SIZES[name]
    arrays = {"row": np.arange(first, first + count), **columns}
    inputs = {"text": fields.Text(tokenizer=TOKENIZER, length=6)}
    if "image" in columns:
        inputs["image"] = fields.Image(size=4, channels=1, mean=(), std=())
    targets = {"row": fields.Number(mean=0.0, std=1.0), "label": fields.Class()}
    return datasets.Arrays.of(arrays, inputs=inputs, targets=targets)


TOKENIZER = fields.Text().tokenizer.fit(["one two three four five six"])


@pytest.fixture(scope="module")
def mixture():
    """Thirty rows with a picture and a text, fifty with a text alone, of other labels."""
    rng = np.random.default_rng(0)
    words = [np.array([" ".join(rng.choice(["one", "two", "six"], 5)) for _ in range(n)]) for n in SIZES.values()]
    seen = part("seen", 0, text=words[0], image=rng.integers(0, 256, (30, 4, 4), np.uint8), label=np.arange(30) % 2)
    told = part("told", 100, text=words[1], label=np.arange(50) % 2 + 1)
    return datasets.Mixture({"seen": seen, "told": told}, weights={"seen": 3, "told": 1})


@pytest.fixture(scope="module")
def examples(mixture):
    return mixture.open(mixture.fit())


def take(stream, count):
    return [next(stream) for _ in range(count)]


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def rows_of(batches):
    return np.concatenate([batch.targets["row"].values for batch in batches]).astype(int)


def test_parts_have_their_shares_and_go_through_their_own_examples(examples):
    rows = rows_of(take(pipeline.stream(examples, batch=1000, seed=0), 20))
    for half in rows.reshape(2, order.BLOCK):
        assert (half < 100).sum() == 7500
    seen, told = rows[rows < 100], rows[rows >= 100]
    assert all(sorted(epoch) == list(range(30)) for epoch in seen.reshape(-1, 30))
    assert all(sorted(epoch) == list(range(100, 150)) for epoch in told.reshape(-1, 50))


def test_without_weights_each_part_has_the_share_of_its_size(mixture):
    data = dataclasses.replace(mixture, weights={})
    rows = rows_of(take(pipeline.stream(data.open(data.fit()), batch=order.BLOCK, seed=0), 1))
    assert (rows < 100).sum() == order.BLOCK * 30 // 80


def test_parts_of_one_size_are_not_shuffled_alike():
    twins = {name: datasets.Synergy(rows=40) for name in "ab"}
    data = datasets.Mixture(twins)
    drawn = data.open(data.fit()).order(0)(np.arange(2000)).numbers
    first, second = drawn[drawn < 40][:40], drawn[drawn >= 40][:40] - 40
    assert sorted(first) == sorted(second) == list(range(40)) and (first != second).any()


@pytest.mark.parametrize("augment", [(), AUGMENT])
@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_see_together_what_one_would(examples, processes, augment):
    whole = take(pipeline.stream(examples, batch=16, seed=3, augment=augment), 9)
    shards = [
        take(pipeline.stream(examples, batch=16, seed=3, augment=augment, shard=(p, processes)), 9)
        for p in range(processes)
    ]
    equal(whole, [jax.tree.map(lambda *parts: np.concatenate(parts), *parts) for parts in zip(*shards, strict=True)])


def test_a_restored_state_goes_on_bit_for_bit(mixture, examples):
    stream = pipeline.stream(examples, batch=16, seed=3, augment=AUGMENT)
    take(stream, 5)
    state = json.loads(json.dumps(stream.get_state()))
    further = take(stream, 4)
    again = pipeline.stream(examples, batch=16, seed=3, augment=AUGMENT)
    again.set_state(state)
    equal(further, take(again, 4))
    other = dataclasses.replace(mixture, weights={"seen": 1, "told": 1})
    with pytest.raises(UserError, match="has changed since this run was saved"):
        pipeline.stream(other.open(other.fit()), batch=16, seed=3).set_state(state)


def test_names_of_all_parts_are_known_and_what_a_part_lacks_is_absent(mixture, examples):
    assert mixture.fit().targets["label"].names == ("0", "1", "2")
    batch = examples.batch([0, 31, 79, 29], pad_to=5)
    assert batch.inputs["image"].mask[:, 0].tolist() == [True, False, False, True, False]
    assert batch.targets["row"].values.tolist() == [0, 101, 149, 29, 0]
    equal(examples.batch([0, 31, 79, 29]), jax.tree.map(lambda x: x[:4], batch))
    assert [examples.where(i) for i in (0, 30)] == ["(arrays in memory) row 1"] * 2
    assert len(list(pipeline.sweep(examples, batch=32))) == 3
    assert rows_of([examples.part([3, 31]).batch([0, 1])]).tolist() == [3, 101]


def test_records_and_manifests_mix_with_columns_of_their_own(folder):
    (folder / "one.csv").write_text("picture,y\n" + "a.png,0\nb.png,1\n" * 4)
    (folder / "two.csv").write_text("scan,y\n" + "b.png,1\na.png,2\n" * 4)
    inputs = [{"image": fields.Image(name, size=6, mean=(), std=())} for name in ("picture", "scan")]
    one, two = (datasets.Manifest(f"{n}.csv", label="y", inputs=i) for n, i in zip(("one", "two"), inputs, strict=True))
    records.pack(two, "two")
    batches = []
    for last in (two, datasets.Records("two")):
        data = datasets.Mixture({"one": one, "two": last})
        opened = data.open(data.fit())
        assert data.fit().targets["y"].names == ("0", "1", "2")
        batches.append(opened.batch(np.arange(16)))
    assert batches[0].inputs["image"].mask.all()
    equal(*batches)


def test_a_part_has_no_target_that_it_was_not_told_to_have(folder):
    """An answer that stands in the file of rows that were given as unlabelled must not reach training."""
    for name in ("known", "unknown"):
        (folder / f"{name}.csv").write_text("text,label\n" + "a,0\nb,1\n" * 4)
    inputs = {"text": fields.Text()}
    known, unknown = (datasets.Manifest(f"{name}.csv", inputs=inputs) for name in ("known", "unknown"))
    records.pack(unknown, "packed")
    for last in (unknown, datasets.Records("packed")):
        data = datasets.Mixture({"known": dataclasses.replace(known, label="label"), "unknown": last})
        label = data.open(data.fit()).batch(np.arange(16)).targets["label"]
        assert label.mask.tolist() == [True] * 8 + [False] * 8
        assert not label.values[8:].any()


class Plain:
    """A data set that says nothing of itself but its schema."""

    def __init__(self, data):
        self.fit, self.open = data.fit, data.open


def bucketed(data):
    return datasets.Bucketed(data, {"text": (3, 16)}, batch=8)


def packed(data):
    return datasets.Packed(data, {"text": 16}, most=4)


@pytest.mark.parametrize("wrap", [bucketed, packed, Plain, lambda data: datasets.Mixture({"own": data})])
def test_a_part_that_is_wrapped_has_no_target_that_it_was_not_told_to_have(folder, wrap):
    """Nor has one that is around another, or that declares nothing."""
    for name, label in (("known", "1"), ("unknown", "0")):
        (folder / f"{name}.csv").write_text("text,label,row\n" + "".join(f"a b,{label},{i}\n" for i in range(8)))
    texts, rows = {"text": fields.Text(length=16)}, {"row": fields.Number(mean=0.0, std=1.0)}
    known, unknown = (datasets.Manifest(f"{name}.csv", inputs=texts, targets=rows) for name in ("known", "unknown"))
    label = {"label": fields.Class(names=("0", "1"))}
    known = dataclasses.replace(known, targets={**rows, **label})
    data = datasets.Mixture({"known": wrap(known), "unknown": wrap(unknown)})
    found = next(pipeline.stream(data.open(data.fit()), batch=8, seed=0)).targets["label"]
    assert found.mask.any() and not found.mask.all() and set(found.values[found.mask]) == {1}
    every = data.open(data.fit()).batch(np.arange(16)).targets["label"]
    assert every.mask.sum() == 8 and not every.values[~every.mask].any()


def test_digits_do_not_answer_what_another_part_asks():
    seen = datasets.Digits(inputs={"image": fields.Image(size=8, channels=1, mean=(), std=())})
    told = datasets.Arrays.of(
        {"image": np.zeros((4, 8, 8), np.uint8), "text": np.array(["a", "b"] * 2)},
        inputs=seen.inputs,
        targets={"text": fields.Class()},
    )
    data = datasets.Mixture({"seen": seen, "told": told})
    opened = data.open(data.fit())
    targets = opened.batch(np.arange(len(opened))).targets
    assert targets["text"].mask.sum() == 4 and targets["label"].mask.sum() == len(opened) - 4


@pytest.mark.parametrize("processes", [2, 4, 8])
@pytest.mark.parametrize("wrap", [bucketed, packed])
def test_parts_that_are_wrapped_alike_are_a_wrapped_mixture(mixture, wrap, processes):
    """Processes see together what one would, and parts keep their shares of packed rows."""
    rng, weights = np.random.default_rng(0), mixture.weights if wrap is packed else {}
    words = {name: np.array([" ".join(["one"] * rng.integers(1, 6)) for _ in range(n)]) for name, n in SIZES.items()}
    parts = {
        name: part(name, 100 * i, text=own, label=np.arange(len(own)) % 2)
        for i, (name, own) in enumerate(words.items())
    }
    inside = datasets.Mixture({name: wrap(own) for name, own in parts.items()}, weights=weights, batch=8)
    examples = inside.open(inside.fit())
    around = wrap(datasets.Mixture(parts, weights=weights))
    assert around.fit() == inside.fit()
    options = {"batch": 8, "seed": 3, "augment": AUGMENT}
    whole = take(pipeline.stream(examples, **options), 9)
    assert len({batch.inputs["text"].mask.shape for batch in whole}) == (1 if wrap is packed else 2)
    equal(whole, take(pipeline.stream(around.open(around.fit()), **options), 9))
    shards = [take(pipeline.stream(examples, **options, shard=(p, processes)), 9) for p in range(processes)]
    equal(whole, [jax.tree.map(lambda *held: np.concatenate(held), *held) for held in zip(*shards, strict=True)])


def test_what_does_not_mix_is_said_in_a_line(mixture):
    with pytest.raises(UserError, match=r"^datasets.Mixture: weights names 'sen'; did you mean 'seen'\?$"):
        dataclasses.replace(mixture, weights={"sen": 1})
    with pytest.raises(UserError, match=r"^datasets.Mixture: part 'told' has no weight; give one to each"):
        dataclasses.replace(mixture, weights={"seen": 1})
    with pytest.raises(UserError, match=r"^weights \(1, 1e-09\): the smallest is less than 1 in 10,000"):
        order.shares((1, 1e-9))
    with pytest.raises(UserError, match="must be finite and above 0"):
        order.shares((1, -1))
    other = datasets.Arrays.of({"text": np.array(["a", "b"] * 2), "label": np.arange(4) % 2}, label="label")
    with pytest.raises(UserError, match=r"'text' of kind|modality 'text' of parts 'seen' and 'other' have different"):
        other = dataclasses.replace(other, inputs={"text": fields.Text(length=6)})
        datasets.Mixture({"seen": mixture.parts["seen"], "other": other}).fit()
    other = dataclasses.replace(other, inputs={"image": fields.Text("text")})
    with pytest.raises(UserError, match="modality 'image' is of kind image in part 'seen', of kind text in 'other'"):
        datasets.Mixture({"seen": mixture.parts["seen"], "other": other}).fit()
    with pytest.raises(UserError, match="parts 'seen' and 'told' are not packed or bucketed alike; leave them plain"):
        dataclasses.replace(mixture, parts={**mixture.parts, "told": packed(mixture.parts["told"])}).fit()
