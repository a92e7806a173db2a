"""Rows of several modalities: none too full, as few as there can be, and the same whoever works them out."""

import numpy as np
import pytest

from mmjax.data import deal, packing


def packed(lengths, room, most):
    """The rows, of which it is held that they have every example once and are not too full."""
    rows = packing.packed(lengths, room, most)
    assert sorted(rows.numbers) == list(range(len(lengths)))
    assert rows.counts.min() >= 1 and rows.counts.max() <= most and rows.counts.sum() == len(lengths)
    assert (np.add.reduceat(lengths[rows.numbers], np.cumsum(rows.counts) - rows.counts) <= room).all()
    return rows


def uneven(examples, modalities, each):
    """Lengths, and a row's room for ``each`` of them."""
    lengths = np.random.default_rng(0).integers(0, 60, (examples, modalities))
    return lengths, np.ceil(each * lengths.mean(axis=0)).astype(int)


@pytest.mark.parametrize(("examples", "modalities", "full"), [(3_000, 5, 0.98), (10_000, 5, 0.994), (10_000, 2, 0.994)])
def test_rows_are_about_full_of_every_modality(examples, modalities, full):
    lengths, room = uneven(examples, modalities, 32)
    rows = packed(lengths, room, 48)
    assert (lengths.sum(axis=0) / room).min() / len(rows.counts) > full


def test_many_examples_fill_rows_to_995_in_a_thousand():
    lengths, room = uneven(50_000, 5, 32)
    assert (lengths.sum(axis=0) / room).mean() / len(packed(lengths, room, 48).counts) >= 0.995


@pytest.mark.parametrize("each", [2, 4, 8])
def test_rows_of_few_examples_are_as_few_as_dealing_one_by_one_gives(each):
    lengths, room = uneven(1_000, 3, each)
    room = np.maximum(room, lengths.max(axis=0))
    one_by_one = packing.dealt(lengths / room, 16)
    assert len(packed(lengths, room, 16).counts) <= one_by_one.max() + 1


@pytest.mark.parametrize(
    ("lengths", "room", "most", "rows"),
    [
        (np.zeros((5, 2), int), (4, 4), 2, 3),  # of nothing, most alone counts
        (np.array([[4, 4]]), (4, 4), 8, 1),
        (np.array([[4, 0], [0, 4], [4, 4]]), (4, 4), 8, 2),
        (np.tile([[1, 2]], (64, 1)), (16, 32), 16, 4),  # full to the brim
        (np.tile([[1, 1]], (1000, 1)), (1000, 1000), 1000, 1),
        (np.tile([[600, 9]], (7, 1)), (1000, 1000), 1000, 7),  # no two fit
    ],
)
def test_what_is_small_or_tight_is_packed_as_well(lengths, room, most, rows):
    assert len(packed(lengths, np.array(room), most).counts) <= rows


def test_a_modality_that_few_have_and_one_of_long_tail_are_packed():
    rng = np.random.default_rng(0)
    rare = np.where(rng.random(3_000) < 0.1, rng.integers(50, 256, 3_000), 0)
    tail = np.clip(rng.lognormal(4, 1, 3_000).astype(int), 1, 2048)
    lengths, room = np.stack([tail, rare], axis=1), np.array([2048, 512])
    rows = packed(lengths, room, 64)
    assert (lengths.sum(axis=0) / room).max() / len(rows.counts) > 0.98


def test_rows_do_not_hang_on_how_a_processor_adds_up(monkeypatch):
    """All sums are exact: with products taken in another order the rows are the same."""
    lengths, room = uneven(2_000, 5, 32)
    rows = packing.packed(lengths, room, 48)

    def product(left, right, out):
        out[...] = np.einsum("pkm,pmj->pkj", left[..., ::-1], right[:, ::-1].astype(np.longdouble)).astype(float)

    monkeypatch.setattr(deal.np, "matmul", product)
    again = packing.packed(lengths, room, 48)
    np.testing.assert_array_equal(rows.numbers, again.numbers)
    np.testing.assert_array_equal(rows.counts, again.counts)
