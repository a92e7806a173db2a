"""Rows of several modalities: none too full, as few as there can be, and the same whoever works them out."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmjax.data import deal, packing

PACK = """
import sys
import numpy as np
from mmjax.data import packing

given = np.load(sys.argv[1] + "/given.npz")
rows = packing.packed(given["lengths"], given["room"], 48)
np.savez(sys.argv[1] + "/found.npz", numbers=rows.numbers, counts=rows.counts)
"""


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
    one_by_one = packing.dealt(lengths, room, 16)
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


@pytest.mark.parametrize(("examples", "each", "levelled"), [(2_000, 32, True), (1_000, 4, False)])
def test_rows_do_not_hang_on_what_a_processor_has(tmp_path, examples, each, levelled):
    """Another process, which does without what this machine has beyond the least, finds the same rows."""
    beyond = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not beyond:
        pytest.skip("this machine has nothing that numpy can do without")
    lengths, room = uneven(examples, 5, each)
    room = np.maximum(room, lengths.max(axis=0))
    assert (deal.dealt(lengths, room, 48) is not None) == levelled
    np.savez(tmp_path / "given.npz", lengths=lengths, room=room)
    # OpenBLAS, which multiplies matrices, looks at the processor by itself; where it knows no Nehalem, it goes on so.
    least = {"NPY_DISABLE_CPU_FEATURES": " ".join(beyond), "OPENBLAS_CORETYPE": "Nehalem"}
    command, house = [sys.executable, "-c", PACK, str(tmp_path)], Path(__file__).parents[2]
    subprocess.run(command, env={**os.environ, **least}, cwd=house, check=True)
    rows, found = packing.packed(lengths, room, 48), np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["numbers"], rows.numbers)
    np.testing.assert_array_equal(found["counts"], rows.counts)
