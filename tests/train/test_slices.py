"""Of several slices only the data axis goes over the wires between them."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from mmjax.core import UserError
from mmjax.train import slices

# data 4, pipe 1, fsdp 2, expert 1, context 1, tensor 2
SHAPE, DATA = (4, 1, 2, 1, 1, 2), 0


def device(number, slice_index):
    return SimpleNamespace(id=number, slice_index=slice_index, platform="none", device_kind="none", process_index=0)


def test_devices_that_know_their_slice_are_put_together():
    order = np.random.default_rng(0).permutation(16)
    devices = [device(number, int(number) // 8) for number in order]
    placed = slices.arranged(devices, SHAPE, slices=0, across=DATA)
    assert placed.shape == SHAPE and {d.id for d in placed.flat} == set(range(16))
    for half in (0, 1):
        assert {d.slice_index for d in placed[2 * half : 2 * half + 2].flat} == {half}


def test_devices_that_do_not_are_shared_out_in_their_order():
    placed = slices.arranged([device(n, None) for n in range(16)], SHAPE, slices=4, across=DATA)
    assert [[d.id for d in part.flat] for part in placed] == [list(range(4 * i, 4 * i + 4)) for i in range(4)]


def test_one_slice_may_be_asked_for():
    placed = slices.arranged([device(n, n % 2) for n in range(16)], SHAPE, slices=1, across=DATA)
    assert [d.id for d in placed.flat] == list(range(16))


@pytest.mark.parametrize(
    "indices, shape, asked, told",
    [
        ([0, 1] * 8, (1, 1, 8, 1, 1, 2), 0, r"mesh.data=1 does not divide by 2 slices; make it a multiple of 2"),
        ([None] * 16, SHAPE, 3, r"mesh.slices=3 does not fit 16 devices in 1 slices"),
        ([0, 1] * 8, SHAPE, 4, r"mesh.slices=4 does not fit 16 devices in 2 slices"),
        ([0] * 4 + [1] * 12, SHAPE, 0, r"the slices have 4, 12 devices"),
    ],
)
def test_what_does_not_fit_is_told(indices, shape, asked, told):
    devices = [device(number, index) for number, index in enumerate(indices)]
    with pytest.raises(UserError, match=told):
        slices.arranged(devices, shape, slices=asked, across=DATA)


def test_eight_devices_in_two_slices_make_a_mesh():
    from mmjax.train import Mesh

    mesh = Mesh(data=4, tensor=2, slices=2).build()
    assert mesh.shape["data"] == 4 and [d.id for d in mesh.devices[:2].flat] == [d.id for d in jax.devices()[:4]]
