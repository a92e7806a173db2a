"""What undeclared columns are taken for."""

import pytest

from mmjax import datasets
from mmjax.core import UserError
from mmjax.data import inference
from mmjax.data.sources import Row, Source


def source(**columns):
    count = len(next(iter(columns.values())))
    rows = [Row({name: cells[i] for name, cells in columns.items()}, "rows", i + 1) for i in range(count)]
    return Source("rows", tuple(columns), rows)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a.png", "b.JPG", ""], "image"),
        (["a.wav", "b/c.mp3"], "audio"),
        (["a.csv", "b.npy"], "sensor"),
        (["Is it so?", "No, it is not.", "Maybe, who knows"], "text"),
        (["See fig1.png", "the figure", "another figure"], "text"),
        ([b"\x89PNG", b"\x89PNG"], "image"),
        ([b"RIFFxxxx", b"fLaC"], "audio"),
    ],
)
def test_modalities_of_their_own(cells, kind):
    found, left_out = inference.inputs(source(x=cells), set())
    assert found["x"].kind == kind and not left_out


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        (["1", "2.5", "", "3"], "numbers"),
        ([1, 2.5, None, 3], "numbers"),
        (["1"] * 30 + ["2"] * 30 + ["?"], "numbers"),
        (["red", "blue", "red", "blue"], "categories"),
        ([True, False, True, True], "categories"),
    ],
)
def test_columns_of_the_table(cells, part):
    found, _ = inference.inputs(source(x=cells), set())
    assert getattr(found["table"], part) == ("x",)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["", "", ""], "empty in every row"),
        (["same", "same", "same"], "always 'same'"),
        (["7", "8", "9", "10"], "counts the rows"),
        (["p-17", "p-3", "q-99"], "an identifier, different in every row"),
    ],
)
def test_columns_that_say_nothing_are_left_out_with_the_reason(cells, reason):
    found, left_out = inference.inputs(
        source(x=cells, text=["one is", "two are", "three be", "four"][: len(cells)]), set()
    )
    assert set(found) == {"text"} and left_out == {"x": reason}


def test_what_is_left_out_is_shown(folder):
    (folder / "rows.csv").write_text("number,image,y\n1,a.png,0\n2,b.png,1\n3,a.png,1\n")
    rows = datasets.Manifest("rows.csv", label="y").fit().describe()
    assert rows[-1] == ("number", "left out", "number", "counts the rows")


def test_nothing_left_is_said():
    with pytest.raises(UserError, match=r"^rows has no column to learn from: x \(always 'a'\); declare inputs$"):
        inference.inputs(source(x=["a", "a"]), set())


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["cat", "dog", "cat", "dog"], "class"),
        (["0", "1", "2", "1"], "class"),
        ([0, 1, 1, 0], "class"),
        ([True, False, True, False], "class"),
        ([0.5, 1.25, 3.0, 2.0], "number"),
        ([str(i) for i in range(100, 140)], "number"),
        ([["a"], ["a", "b"], []], "classes"),
        (["a;b", "a", "b;c", "c;a;b", "c"], "classes"),
    ],
)
def test_labels(cells, kind):
    assert inference.target(source(y=cells), "y").kind == kind
