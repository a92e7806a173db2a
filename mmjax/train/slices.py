"""Devices in the order of a mesh, so that only one axis of it goes over slow wires."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.experimental import mesh_utils

from mmjax.core import UserError


def arranged(devices: Sequence[Any], shape: Sequence[int], *, slices: int, across: int) -> np.ndarray:
    """``devices`` as an array of ``shape``, whose axis number ``across`` alone joins devices of different slices.

    slices: how many there are; 0: as many as the devices tell of (those of a TPU know their slice). Where they tell of
    none, as GPUs do, each slice is an equal share of them in their order. Raises UserError where the axis or the
    devices do not divide by the slices.
    """
    groups = _groups(devices, slices)
    if shape[across] % len(groups):
        count = len(groups)
        raise UserError(f"mesh.data={shape[across]} does not divide by {count} slices; make it a multiple of {count}")
    inner = [n // len(groups) if axis == across else n for axis, n in enumerate(shape)]
    parts = [mesh_utils.create_device_mesh(inner, group, allow_split_physical_axes=True) for group in groups]
    return np.concatenate(parts, axis=across)


def _groups(devices: Sequence[Any], slices: int) -> list[list[Any]]:
    """Devices by slice, in their order."""
    told: dict[Any, list[Any]] = {}
    for device in devices:
        told.setdefault(getattr(device, "slice_index", None), []).append(device)
    groups = [told[number] for number in sorted(told, key=lambda number: number or 0)]
    if len(groups) == 1 and slices > 1 and len(devices) % slices == 0:
        each = len(devices) // slices
        groups = [list(devices[i * each : (i + 1) * each]) for i in range(slices)]
    if slices not in (0, len(groups)) and slices != 1:
        raise UserError(f"mesh.slices={slices} does not fit {len(devices)} devices in {len(groups)} slices")
    if len({len(group) for group in groups}) > 1:
        raise UserError(f"the slices have {', '.join(str(len(group)) for group in groups)} devices; name equal ones")
    return [list(devices)] if slices == 1 else groups
