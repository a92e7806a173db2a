"""Splits for cross-validation: every row on one side, nothing torn apart."""

from collections import Counter

import pytest

from mmjax import datasets
from mmjax.core import UserError
from mmjax.data.sources import Row, Source

ROWS = [Row({"y": "ab"[i % 2], "speaker": f"s{i % 7}"}, "rows", i + 1) for i in range(40)]
SOURCE = Source("rows", ("y", "speaker"), ROWS)


@pytest.mark.parametrize("how", [{}, {"evenly": "y"}, {"by": "speaker"}])
def test_held_out_parts_cover_every_row_once(how):
    seen = []
    for index in range(5):
        held = datasets.Fold(5, index, held_out=True, **how).of(SOURCE).rows
        rest = datasets.Fold(5, index, **how).of(SOURCE).rows
        assert [row.number for row in rest] == sorted({row.number for row in ROWS} - {row.number for row in held})
        seen += [row.number for row in held]
    assert sorted(seen) == list(range(1, 41))


def test_evenly_gives_every_part_its_share():
    for index in range(5):
        held = datasets.Fold(5, index, held_out=True, evenly="y").of(SOURCE).rows
        assert Counter(row.cells["y"] for row in held) == {"a": 4, "b": 4}


def test_by_keeps_together():
    for index in range(5):
        sides = [
            {row.cells["speaker"] for row in datasets.Fold(5, index, held_out=held, by="speaker").of(SOURCE).rows}
            for held in (True, False)
        ]
        assert not sides[0] & sides[1]


def test_another_seed_is_another_split_and_the_same_is_the_same():
    def numbers(seed):
        return [row.number for row in datasets.Fold(5, 0, held_out=True, seed=seed).of(SOURCE).rows]

    assert numbers(1) == numbers(1) != numbers(2)


def test_what_the_split_goes_by_is_no_input(tmp_path):
    lines = [f"{row.cells['y']},{row.cells['speaker']},{row.number % 5}.5" for row in ROWS]
    (tmp_path / "rows.csv").write_text("\n".join(["y,speaker,size", *lines]))
    for fold in (datasets.Fold(5, by="speaker"), datasets.Fold(5, evenly="speaker")):
        schema = datasets.Manifest(str(tmp_path / "rows.csv"), label="y", fold=fold).fit()
        assert schema.inputs["table"].columns == ("size",)


def test_what_cannot_be():
    with pytest.raises(UserError, match="index 5 is not below count 5"):
        datasets.Fold(5, 5)
    with pytest.raises(UserError, match="evenly or by, not both"):
        datasets.Fold(evenly="y", by="speaker")
    with pytest.raises(UserError, match=r"rows has no column 'speakers'; did you mean 'speaker'\?"):
        datasets.Fold(by="speakers").of(SOURCE)
