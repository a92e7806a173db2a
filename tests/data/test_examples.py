"""Examples: shared, counted, and never shortened in silence."""

import numpy as np
import pytest

from mmjax import fields
from mmjax.core import UserError
from mmjax.data.examples import Examples, unlabelled
from mmjax.data.schema import Schema
from mmjax.data.sources import Row, Source, given


def examples(rows, schema, **options):
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Examples(Source("rows", columns, [Row(row, "rows", i) for i, row in enumerate(rows, 1)]), schema, **options)


SCHEMA = Schema(
    inputs={
        "text": fields.Text("text", length=3),
        "wave": fields.Audio("wave", rate=10, seconds=0.5),
    },
    targets={"y": fields.Class("y", names=("a", "b"))},
)
ROWS = [
    {"text": "one two three four", "wave": np.zeros(8, np.float32), "y": "a"},
    {"text": "one", "wave": np.zeros(5, np.float32), "y": "b"},
    {"text": "one two three four", "wave": np.zeros(9, np.float32), "y": ""},
]


def test_what_is_shortened_is_counted_for_each_modality():
    assert examples(ROWS, SCHEMA).cut == {"text": 2, "wave": 2}
    assert examples(ROWS[1:2], SCHEMA).cut == {}
    lazy = examples(ROWS, SCHEMA, cache_gb=0)
    assert lazy.cut == {}
    lazy.batch([0, 1])
    assert lazy.cut["wave"] == 1


def test_what_is_cut_is_told_in_a_line():
    assert examples(ROWS, SCHEMA).notes() == [
        "rows: text of 2 examples is longer than the model takes, and cut",
        "rows: wave of 2 examples is longer than the model takes, and cut",
    ]
    assert examples(ROWS[1:2], SCHEMA).notes() == []


def test_examples_keep_their_full_length_until_they_are_collated():
    found = examples(ROWS, SCHEMA)
    assert found[0]["inputs"]["wave"].shape == (8,) and found[0]["inputs"]["text"].shape == (4,)
    assert found.batch([0]).inputs["wave"].values.shape == (1, 5)


def test_rows_that_name_the_same_file_share_one_array(folder):
    schema = Schema(inputs={"image": fields.Image("image", size=4, channels=1, mean=(), std=())}, targets={})
    rows = [Row({"image": name}, "rows", i, str(folder)) for i, name in enumerate(["a.png", "b.png", "a.png"], 1)]
    found = Examples(Source("rows", ("image",), rows), schema)
    assert np.shares_memory(found[0]["inputs"]["image"], found[2]["inputs"]["image"])
    assert not np.shares_memory(found[0]["inputs"]["image"], found[1]["inputs"]["image"])


def test_examples_are_a_sequence():
    found = examples(ROWS, SCHEMA)
    assert len(found) == 3 and len(found[1:]) == 2 and len(list(found)) == 3
    assert found[-1]["targets"]["y"] is None
    assert found.row(1).cells["text"] == "one" and found.where(1) == "rows row 2"
    with pytest.raises(IndexError):
        found[3]


def test_gathering_and_collating_give_the_same_batch():
    found = examples(ROWS, SCHEMA)
    gathered, collated = found.batch([2, 0], pad_to=4), found.collate([found[2], found[0]], pad_to=4)
    for part in ("inputs", "targets"):
        for name, signal in getattr(gathered, part).items():
            np.testing.assert_array_equal(signal.values, getattr(collated, part)[name].values)
            np.testing.assert_array_equal(signal.mask, getattr(collated, part)[name].mask)
            assert signal.values.dtype == getattr(SCHEMA.example(1), part)[name].values.dtype


def test_rows_by_hand_take_columns_modalities_and_mappings(folder):
    schema = Schema(
        inputs={
            "scan": fields.Image("image", size=4, channels=1, mean=(), std=()),
            "table": fields.Table(numbers=("age",), means=(0.0,), stds=(1.0,)),
        },
        targets={"y": fields.Class("y", names=("a", "b"))},
    )
    columns = {name: field.columns for name, field in schema.inputs.items()}
    rows = [{"scan": "a.png"}, {"image": np.zeros((4, 4), np.uint8), "table": {"age": 3}}, {"age": "4", "extra": 1}]
    found = Examples(given(rows, columns=columns), unlabelled(schema))
    batch = found.batch([0, 1, 2])
    assert batch.inputs["scan"].mask[:, 0].tolist() == [True, True, False]
    assert batch.inputs["table"].values[:, 0].tolist() == [0, 3, 4]
    assert not batch.targets
    with pytest.raises(UserError, match=r"^rows row 1: gone.png does not exist"):
        Examples(given([{"scan": "gone.png"}], columns=columns), unlabelled(schema))
    with pytest.raises(UserError, match=r"^rows: table has no column 'ages'; did you mean 'age'\?$"):
        given([{"table": {"ages": 3}}], columns={"table": ("age", "size")})
    with pytest.raises(UserError, match=r"^rows: there is no row$"):
        given([], columns=columns)


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_a_part_is_some_rows_and_modalities(cache_gb):
    whole = examples(ROWS, SCHEMA, cache_gb=cache_gb)
    some = whole.part([2, 1], modalities={"wave"})
    assert len(some) == 2 and list(some.schema.inputs) == ["wave"] and some.where(1) == "rows row 2"
    assert some.part([1]).where(0) == "rows row 2" and some.part([1])[0]["targets"]["y"] == 1
    batch, expected = some.batch([1, 0], pad_to=3), whole.batch([1, 2], pad_to=3)
    assert batch.inputs.keys() == {"wave"} == some.schema.example(1).inputs.keys()
    np.testing.assert_array_equal(batch.inputs["wave"].mask, expected.inputs["wave"].mask)
    np.testing.assert_array_equal(batch.targets["y"].values, expected.targets["y"].values)
    assert some.fingerprint() != whole.part(modalities={"wave"}).fingerprint() != whole.fingerprint()
    assert some.cut == {"wave": 1}
