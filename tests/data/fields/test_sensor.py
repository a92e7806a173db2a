"""Logs with and without names for their channels."""

import numpy as np
import pytest

from mmjax import fields
from mmjax.core import UserError
from mmjax.data.sources import Row, Rows

LOG = "a,b,c\n1,10,100\n2,20,200\n3,30,300\n4,40,400\n"


def row(cell):
    return Row({"x": str(cell)}, "rows", 1)


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path / "log.csv"


def test_channels_are_chosen_and_ordered_by_name(log):
    field = fields.Sensor("x", channels=("c", "a"), mean=(0.0, 0.0), std=(1.0, 1.0)).fit(Rows([row(log)]))
    assert field.shape == (4, 2)
    np.testing.assert_array_equal(field.read(row(log)), [[100, 1], [200, 2], [300, 3], [400, 4]])


def test_channels_may_come_first(log, tmp_path):
    array = np.loadtxt(log, delimiter=",", skiprows=1)
    np.save(tmp_path / "turned.npy", array.T)
    straight = fields.Sensor("x").fit(Rows([Row({"x": array}, "rows", 1)]))
    turned = fields.Sensor("x", channels_first=True).fit(Rows([row(tmp_path / "turned.npy")]))
    assert turned.shape == straight.shape == (4, 3)
    expected = straight.read(Row({"x": array}, "rows", 1))
    np.testing.assert_array_equal(turned.read(row(tmp_path / "turned.npy")), expected)
    np.testing.assert_array_equal(turned.read(Row({"x": array.T}, "rows", 1)), expected)


def test_a_log_in_another_order_of_columns_reads_the_same(log, tmp_path):
    (tmp_path / "other.csv").write_text("c;b;a\n100;10;1\n200;20;2\n300;30;3\n400;40;4\n")
    field = fields.Sensor("x").fit(Rows([row(log)]))
    np.testing.assert_array_equal(field.read(row(log)), field.read(row(tmp_path / "other.csv")))


def test_without_a_header_channels_are_numbered_and_taken_in_order(log, tmp_path):
    bare = tmp_path / "bare.csv"
    bare.write_text(LOG.partition("\n")[2])
    array = np.loadtxt(log, delimiter=",", skiprows=1)
    np.save(tmp_path / "log.npy", array)
    field = fields.Sensor("x").fit(Rows([row(bare)]))
    assert field.channels == ("0", "1", "2")
    np.testing.assert_array_equal(field.read(row(bare)), field.read(row(tmp_path / "log.npy")))
    named = fields.Sensor("x").fit(Rows([row(log)]))
    for cell in (str(bare), str(tmp_path / "log.npy"), array):
        np.testing.assert_array_equal(named.read(Row({"x": cell}, "rows", 1)), named.read(row(log)))


def test_a_first_line_with_a_gap_is_no_header(tmp_path):
    (tmp_path / "gap.csv").write_text("1,,3\n4,5,6\n")
    with pytest.raises(UserError, match=r"gap\.csv has nothing in column 2 of its first line"):
        fields.Sensor("x").fit(Rows([row(tmp_path / "gap.csv")]))


def test_values_are_standardised_by_the_training_rows(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal([1, -5], [2, 0.5], (n, 2)) for n in (30, 50)]
    rows = [Row({"x": array}, "rows", i) for i, array in enumerate(arrays)]
    field = fields.Sensor("x").fit(Rows(rows))
    everything = np.concatenate(arrays)
    np.testing.assert_allclose(field.mean, everything.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(field.std, everything.std(axis=0), rtol=1e-9)
    batch = field.batch([field.read(r) for r in rows] + [None])
    assert batch.values.shape == (3, 50, 2) and batch.mask.sum(axis=1).tolist() == [30, 50, 0]
    np.testing.assert_allclose(batch.values[batch.mask].std(axis=0), 1, atol=1e-5)


def test_a_constant_channel_does_not_divide_by_nothing():
    rows = [Row({"x": np.full((5, 1), 3.0)}, "rows", 1)]
    field = fields.Sensor("x").fit(Rows(rows))
    assert not field.read(rows[0]).any()
