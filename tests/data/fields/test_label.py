"""Answers by name and by measure."""

import numpy as np
import pytest

from mmjax import fields
from mmjax.core import UserError
from mmjax.data.sources import Row, Rows


def rows(*cells):
    return Rows([Row({"y": cell}, "rows", i) for i, cell in enumerate(cells, start=1)])


def read(field, *cells):
    return field.batch([field.read(row) for row in rows(*cells).rows])


def test_names_are_sorted_whole_numbers_by_size():
    assert fields.Class("y").fit(rows("10", "9", "b" * 0, "2")).names == ("2", "9", "10")
    assert fields.Class("y").fit(rows("b", "10", "a", None)).names == ("10", "a", "b")


@pytest.mark.parametrize("cell", [3, 3.0, "3", " 3 ", np.int64(3), np.float32(3)])
def test_a_label_is_the_same_however_it_is_written(cell):
    assert int(fields.Class("y", names=("2", "3")).read(Row({"y": cell}, "rows", 1))) == 1


def test_truth_values_are_labels():
    field = fields.Class("y").fit(rows(True, False))
    assert field.names == ("false", "true") and read(field, True, None).values.tolist() == [1, 0]


def test_rare_and_unknown_labels_share_a_class_if_so_wished():
    field = fields.Class("y", other="else", least=2).fit(rows("yes", "yes", "no", "no", "perhaps"))
    assert field.names == ("no", "yes", "else") and field.size == 3
    signal = read(field, "perhaps", "never seen", "no", "")
    assert signal.values.tolist() == [2, 2, 0, 0] and signal.mask.tolist() == [True, True, True, False]


def test_several_labels_from_lists_texts_and_arrays():
    field = fields.Classes("y").fit(rows("a;c", ["b"], None))
    assert field.names == ("a", "b", "c")
    signal = read(field, "c; a", ["b"], [], ";", "", None)
    assert signal.values.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert signal.mask.all(axis=1).tolist() == [True, True, True, True, False, False]
    assert read(field, np.array([0, 1, 1])).values.tolist() == [[0, 1, 1]]
    assert fields.Classes("y").fit(rows(np.array([0, 1]))).names == ("0", "1")
    with pytest.raises(UserError, match=r"^rows row 1: y is not 3 numbers of 0 or 1$"):
        read(field, np.array([0, 2, 1]))
    with pytest.raises(UserError, match=r"^rows row 1: y is 'd', which is none of the 3 labels"):
        read(field, "a;d")


def test_a_list_is_no_single_class():
    with pytest.raises(UserError, match=r"y holds several labels; declare targets=\{'y': fields.Classes\(\)\}"):
        fields.Class("y").fit(rows(["a", "b"]))


def test_numbers_are_standardised_and_restored():
    cells = [3.0, "5", None, 10]
    field = fields.Number("y").fit(rows(*cells))
    np.testing.assert_allclose([field.mean, field.std], [6, np.std([3, 5, 10])])
    signal = read(field, *cells)
    assert signal.mask.tolist() == [True, True, False, True] and signal.values.dtype == np.float32
    np.testing.assert_allclose(field.restore(signal.values)[signal.mask], [3, 5, 10], rtol=1e-6)


def test_a_table_has_codes_and_unknowns():
    train = Rows([Row({"a": a, "o": o}, "rows", 1) for a, o in ((1, "x"), (3, "y"), (None, "z"), (5, None))])
    field = fields.Table(numbers=("a",), categories=("o",)).fit(train)
    assert field.cardinalities == (0, 4) and field.shape == (2,)
    new = [Row({"a": 3, "o": "y"}, "rows", 1), Row({"a": "", "o": "new"}, "rows", 2), Row({}, "rows", 3)]
    batch = field.batch([field.read(row) for row in new])
    assert batch.values.tolist() == [[0, 2], [0, 0], [0, 0]]
    assert batch.mask.tolist() == [[True, True], [False, True], [False, False]]
