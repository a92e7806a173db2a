"""Safetensors files, read and written."""

import ml_dtypes
import numpy as np
import pytest

from mmjax.core import UserError
from mmjax.data import safetensor

ARRAYS = {
    "wte.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "half": np.arange(4, dtype=np.float32).astype(ml_dtypes.bfloat16),
    "mask": np.array([[True, False]]),
    "one": np.array(3, np.int64),
}


def test_arrays_come_back_and_files_are_the_same_to_the_byte(tmp_path):
    path, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    safetensor.write(path, ARRAYS)
    found = safetensor.read(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    safetensor.write(again, dict(reversed(found.items())))
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data[:20], lambda data: b"x" * 40, lambda _: b""]
)
def test_damage_is_told(tmp_path, change):
    path = tmp_path / "a.safetensors"
    safetensor.write(path, ARRAYS)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=r"a\.safetensors is"):
        safetensor.read(path)
